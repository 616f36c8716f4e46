"""Optimisers of the authors' frameworks that differ from PyTorch's own."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Torch7Adam(torch.optim.Adam):
    """Adam with the epsilon where Torch7 puts it: outside the bias correction of the second moment.

    Torch7 divides by ``sqrt(v) + eps`` and puts both bias corrections into the step size. This is PyTorch's update with
    ``eps / sqrt(1 - beta2 ** t)`` in place of ``eps``. The two differ only for gradients below about 1e-6.
    Arguments and state are those of :class:`torch.optim.Adam`; all parameters of a group take every step together.

    Source: optim.adam of Torch7; Kingma & Ba 2014, end of section 2.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return the closure's value, if there is one."""
        nominal = [group["eps"] for group in self.param_groups]
        for group in self.param_groups:
            beta2 = group["betas"][1]
            group["eps"] /= math.sqrt(1 - beta2 ** (self._steps_taken(group["params"]) + 1))
        try:
            return super().step(closure)
        finally:
            for group, eps in zip(self.param_groups, nominal, strict=True):
                group["eps"] = eps

    def _steps_taken(self, params: list[Tensor]) -> int:
        return max((int(self.state[p]["step"]) for p in params if self.state.get(p)), default=0)
