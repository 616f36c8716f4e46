"""Reads one file of reference vectors and keeps account: how far off the worst value was, and what nobody looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PRECISIONS = {"float64": 1e-9, "float32": 2e-5}


class Reference:
    """``take`` uses an array as an input, ``close`` compares a result with one; ``finish`` wants none left over."""

    def __init__(self, name: str, precision: str = "float64") -> None:
        with np.load(Path(__file__).parent / f"{name}.npz") as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}
        self.name, self.precision = name, precision
        self.dtype: torch.dtype = getattr(torch, precision)
        self.seen: set[str] = set()
        self.worst = 0.0

    def take(self, key: str) -> np.ndarray:
        self.seen.add(key)
        return self.arrays[key]

    def tensor(self, key: str) -> Tensor:
        """An input: whole numbers as int64, others in the precision of the test."""
        array = self.take(key)
        if array.dtype.kind in "iu":
            return torch.from_numpy(array.astype(np.int64))
        return torch.from_numpy(np.array(array)).to(self.dtype)

    def close(self, key: str, value: Tensor | np.ndarray | float, *, scaled: bool = False) -> None:
        """Absolute difference; ``scaled`` divides it by the expected value where that is larger than 1."""
        expected = self.take(key)
        # Arrays stored in float32 are float64 results rounded once; ours are rounded the same way before comparing.
        got = np.asarray(value.detach().numpy() if isinstance(value, Tensor) else value).astype(expected.dtype)
        assert got.shape == expected.shape, key
        difference = np.abs(got.astype(np.float64) - expected.astype(np.float64))
        self.worst = max(self.worst, float(difference.max()))
        error = float((difference / np.maximum(1, np.abs(expected))).max()) if scaled else float(difference.max())
        assert error <= PRECISIONS[self.precision], f"{self.name} {key}: {error:.3g}"

    def equal(self, key: str, value: np.ndarray) -> None:
        expected = self.take(key)
        assert value.shape == expected.shape, key
        assert (value == expected).all(), key

    def finish(self) -> None:
        """Shown by ``pytest -rP``: the largest difference of the file."""
        assert self.seen == set(self.arrays), sorted(set(self.arrays) - self.seen)
        print(f"parity {self.name} {self.precision} {len(self.arrays)} arrays, largest difference {self.worst:.1e}")
