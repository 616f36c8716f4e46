"""RMSprop as the released code of alignDRAW has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class ClippedRMSprop(torch.optim.Optimizer):
    """Scales every tensor's gradient to a norm of at most 10, then divides by the root of a running mean of squares.

    ``v <- 0.9 v + 0.1 g^2``, ``w <- w - lr g / sqrt(v + 1e-6)``. Unlike torch's RMSprop the epsilon stands inside the
    root, so that a tensor with tiny gradients moves by about g and not by about lr; and the norm is that of each tensor
    alone, not of all together.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, *, decay: float = 0.9, epsilon: float = 1e-6,
                 largest_norm: float = 10.0) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "epsilon": epsilon, "largest_norm": largest_norm})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient."""
        result = closure() if closure is not None else None
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            gradients = [parameter.grad for parameter in parameters]
            norms = torch.stack(torch._foreach_norm(gradients))
            scales = (group["largest_norm"] / norms).clamp(max=1.0)
            gradients = [gradient * scale for gradient, scale in zip(gradients, scales, strict=True)]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["mean_square"] = torch.zeros_like(parameter)
            squares = [self.state[parameter]["mean_square"] for parameter in parameters]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(parameters, gradients, roots, -group["lr"])
        return result
