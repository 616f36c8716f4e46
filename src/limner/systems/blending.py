"""The inputs of a painting between two captions or two noises: ``blend``, ``blend_seed``, ``blend_amount``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.errors import LimnerError

BLEND_INPUTS = {
    "blend": "a second caption to blend into the first",
    "blend_seed": "a second seed whose noise is blended into the first's",
    "blend_amount": "how far to go towards the second caption or seed, 0 to 1 (default 0.5)",
}
"""For ``System.inputs``."""


def blend_amount(inputs: Mapping[str, Any]) -> float:
    """How far to go, 0 to 1; half way where nothing is said."""
    return float(inputs.get("blend_amount", 0.5))


def check_blend(inputs: Mapping[str, Any]) -> None:
    """Raises LimnerError for values out of range, and for an amount with nothing to blend."""
    if "blend" in inputs and not (isinstance(inputs["blend"], str) and inputs["blend"].strip()):
        raise LimnerError(f"blend must be a second caption, got {inputs['blend']!r}.")
    if "blend_seed" in inputs and type(inputs["blend_seed"]) is not int:
        raise LimnerError(f"blend_seed must be a whole number, got {inputs['blend_seed']!r}.")
    if "blend_amount" in inputs:
        amount = inputs["blend_amount"]
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount <= 1:
            raise LimnerError(f"blend_amount must be a number from 0 to 1, got {amount!r}.")
        if "blend" not in inputs and "blend_seed" not in inputs:
            raise LimnerError("blend_amount has nothing to blend: give a second caption (blend) or seed (blend_seed).")
