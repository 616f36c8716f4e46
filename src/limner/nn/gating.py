"""The gated linear unit, with a backward pass that is fast in bf16 too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def gated(x: Tensor) -> Tensor:
    """(B, 2C, ...) to (B, C, ...): the first half of the channels times the logistic function of the second.

    The same as ``torch.nn.functional.glu``, whose backward pass in bf16 takes five times as long on the CPU (measured
    with torch 2.13). It can be differentiated once.
    """
    return _Gated.apply(x)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        values, gates = x.chunk(2, dim=1)
        gates = gates.contiguous(memory_format=_format_of(x)).sigmoid_()
        ctx.save_for_backward(values, gates)
        return values * gates

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyrefly: ignore[bad-override]
        values, gates = ctx.saved_tensors
        open_part = gradients[0] * gates
        return torch.cat([open_part, open_part * values * (1 - gates)], dim=1)


def _format_of(x: Tensor) -> torch.memory_format:
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
