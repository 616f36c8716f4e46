"""What attention with several heads shares."""

from __future__ import annotations

from torch import Tensor

HEAD_SIZE = 32
"""Length of a head's queries, keys and values."""


def by_head(x: Tensor) -> Tensor:
    """(B, N, heads * HEAD_SIZE) to (B, heads, N, HEAD_SIZE)."""
    return x.unflatten(2, (-1, HEAD_SIZE)).transpose(1, 2)
