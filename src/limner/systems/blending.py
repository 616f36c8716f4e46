"""The inputs of a painting between two captions or two noises: ``blend``, ``blend_seed``, ``blend_amount``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from limner.errors import LimnerError
from limner.randomness import normal
from limner.systems.protocol import Request


def blend_amount(inputs: Mapping[str, Any]) -> float:
    """How far to go, 0 to 1; half way where nothing is said."""
    return float(inputs.get("blend_amount", 0.5))


def blended_noise(request: Request, purpose: str, size: int, *, index: int | None = None) -> Tensor:
    """Standard normal noise (size,) of a request (or of another index), on the way to that of a second seed where it
    asks for one."""
    index = request.index if index is None else index
    noise = normal(request.seed, purpose, index, shape=(size,))
    if "blend_seed" not in request.inputs:
        return noise
    other = normal(request.inputs["blend_seed"], purpose, index, shape=(size,))
    return torch.lerp(noise, other, blend_amount(request.inputs))


def second_warnings(request: Request, warnings: Callable[[str], list[str]]) -> list[str]:
    """What a painter has to say of a second caption, by its ``warnings`` of a caption."""
    second = request.inputs.get("blend")
    return [f"second caption: {warning}" for warning in warnings(second)] if isinstance(second, str) else []


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
