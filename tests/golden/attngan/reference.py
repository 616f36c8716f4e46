"""Reading the reference vectors of AttnGAN: names as in the official state dicts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

HERE = Path(__file__).parent


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(HERE / f"{name}.npz") as file:
        return dict(file)


def tensor(name: str, key: str) -> Tensor:
    """An array as a tensor of its own; uint8 pictures as float in -1..1."""
    value = torch.from_numpy(arrays(name)[key].copy())
    return value.float() / 127.5 - 1 if value.dtype == torch.uint8 else value


def state(name: str, prefix: str, name_of: Callable[[str], str]) -> dict[str, Tensor]:
    """What lies under a prefix, by our names."""
    found = {}
    for key in arrays(name):
        if key.startswith(prefix):
            ours = name_of(key.removeprefix(prefix))
            value = tensor(name, key)
            found[ours] = value.flatten(1) if ours.endswith("attention.project.weight") else value
    return found


def load(network: nn.Module, values: dict[str, Tensor]) -> None:
    """Fills a network and leaves nothing out."""
    network.load_state_dict(values)


def chosen(value: Tensor) -> Tensor:
    """The entries that large tensors are stored by: 1500 places drawn by NumPy's RandomState(size)."""
    if value.numel() <= 1500:
        return value
    places = np.random.RandomState(value.numel()).choice(value.numel(), 1500, replace=False)
    return value.flatten()[torch.from_numpy(places)]


def thinned(value: Tensor) -> Tensor:
    """The places that large maps (B, C, H, W) are stored by: at most 16 rows and columns."""
    if value.ndim != 4 or value.shape[-1] <= 16:
        return value
    return value[..., :: max(1, value.shape[-2] // 16), :: max(1, value.shape[-1] // 16)]


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Equal up to a tolerance relative to the largest entry."""
    assert ours.shape == theirs.shape
    finite = torch.isfinite(theirs)
    assert torch.equal(torch.isfinite(ours), finite)
    ours, theirs = ours.detach()[finite], theirs[finite]
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max().clamp(min=1e-6)
