"""The reference vectors of the official PyTorch code, and its names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limner.interop.stackgan import convert, our_name

GOLDEN = Path(__file__).parents[2] / "golden" / "stackgan"


def arrays(*names: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name in names:
        with np.load(GOLDEN / f"{name}.npz") as file:
            found |= {key: file[key] for key in file.files}
    return found


def tensors(golden: Mapping[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): torch.from_numpy(value.copy()) for key, value in golden.items()
            if key.startswith(prefix)}


def networks(golden: Mapping[str, np.ndarray], prefix: str) -> dict[str, Any]:
    """The networks of a complete official state, with its weights."""
    return {kind: found.build() for kind, found in convert(tensors(golden, prefix), prefix).items()}


def ours(kind: str, name: str, golden: Mapping[str, np.ndarray], prefix: str) -> str:
    """Our name of an official tensor."""
    module, _, field = name.removeprefix("STAGE1_G.").rpartition(".")
    return f"{our_name(kind, module, tensors(golden, prefix), prefix)}.{field}"


def normalised(pictures: np.ndarray) -> Tensor:
    return (torch.from_numpy(pictures).float() / 255 - 0.5) / 0.5


def close(ours: Tensor, stored: np.ndarray, tolerance: float, what: str = "") -> None:
    np.testing.assert_allclose(ours.detach().numpy(), stored, rtol=0, atol=tolerance, err_msg=what)


def check_state(found: Mapping[str, nn.Module], golden: Mapping[str, np.ndarray], prefix: str, names: str, *,
                weights: float, buffers: float = 1e-5) -> int:
    """Compares every tensor under ``prefix`` with that of our networks; returns how many were compared.

    Adam's first step is the learning rate (2e-4) times the sign of the gradient: where a gradient is nearly 0 its sign,
    and with it the whole step, is a matter of rounding.
    """
    count = 0
    for key, stored in tensors(golden, prefix).items():
        if key.startswith("STAGE1_G."):
            kind = "sketch"
        else:
            kind = "discriminator" if "discriminator" in found else "refinement" if "refinement" in found else "sketch"
        name = ours(kind, key, golden, names)
        value = found[kind].state_dict()[name]
        gradient = dict(found[kind].named_parameters()).get(name, torch.zeros(())).grad
        if gradient is None:
            tolerance = buffers if "running" in key else 0 if "tracked" in key else weights
            close(value, stored.numpy(), tolerance, prefix + key)
        else:
            off = (value - stored).abs()
            unsure = gradient.abs() < 1e-6
            assert off[~unsure].numel() == 0 or off[~unsure].max() <= weights, prefix + key
            assert off.max() <= 4.01e-4, prefix + key
            assert (off > weights).float().mean() <= 2e-3, prefix + key
        count += 1
    return count
