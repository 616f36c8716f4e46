"""From one caption to another, from one noise to another: requests for the pictures in between."""

from __future__ import annotations

from typing import Any

from limner.errors import LimnerError
from limner.systems.protocol import Request


def blend_requests(caption: str, other: str | None = None, *, seed: int = 0, to_seed: int | None = None,
                   steps: int = 8) -> list[Request]:
    """Pictures on the straight line between two captions, two noises, or both.

    Args:
        caption, other: the first picture's caption and the last one's; None keeps the first.
        seed, to_seed: the same for the noise.
        steps: pictures in all, both ends included.

    Returns:
        Requests with the inputs ``blend``, ``blend_seed`` and ``blend_amount``; the painter says whether its system
        takes them.

    Raises:
        LimnerError: fewer than 2 steps, or nothing to go to.
    """
    if steps < 2:
        raise LimnerError(f"a blend has two ends and takes at least 2 steps, got {steps}.")
    ends: dict[str, Any] = {}
    if other is not None:
        ends["blend"] = other
    if to_seed is not None:
        ends["blend_seed"] = to_seed
    if not ends:
        raise LimnerError("there is nothing to blend: give a second caption, or a second seed.")
    return [Request(caption, seed, 0, {**ends, "blend_amount": step / (steps - 1)}) for step in range(steps)]
