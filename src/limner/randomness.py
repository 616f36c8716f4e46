"""Randomness has addresses: every draw comes from a stream named by (seed, purpose, index ...).

The same address gives the same numbers on every machine, in any order of calls and in any process. There is no
generator with a state that would have to be saved: a training that resumes, a batch that is split over processes
and a picture that is painted alone all find their numbers by address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _key(seed: int, purpose: str, index: tuple[int, ...]) -> int:
    address = f"{int(seed)}/{purpose}/{','.join(str(int(i)) for i in index)}"
    return int.from_bytes(hashlib.blake2b(address.encode(), digest_size=16).digest(), "little")


def stream(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A NumPy generator for one address. ``purpose`` is a short constant such as ``"crop"``."""
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, index)))


def normal(seed: int, purpose: str, *index: int, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal noise of one address: float32 on the CPU, so that every device starts from the same numbers."""
    import torch

    return torch.from_numpy(stream(seed, purpose, *index).standard_normal(tuple(shape), dtype=np.float32))


def torch_generator(seed: int, purpose: str, *index: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator for one address, for draws that must happen on a device (augmentation, dropout)."""
    import torch

    return torch.Generator(device=device).manual_seed(_key(seed, purpose, index) & ((1 << 63) - 1))
