"""Exponential averages of weights, with the half-life counted in images."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from limner.training.stage import Schedule


class Averages:
    """Averaged copies of some modules: parameters and floating buffers are averaged, other buffers copied."""

    def __init__(self, modules: Mapping[str, nn.Module], names: Sequence[str], schedule: Schedule) -> None:
        """Copies the named modules as they are now; keeps none if the schedule asks for no average."""
        self._schedule = schedule
        self._sources: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._copied: list[Tensor] = []
        self._copies: list[Tensor] = []
        self.modules: dict[str, nn.Module] = {}
        if schedule.average_half_life == 0:
            return
        for name in names:
            average = copy.deepcopy(modules[name]).requires_grad_(False).eval()
            self.modules[name] = average
            sources = [*modules[name].parameters(), *modules[name].buffers()]
            for source, target in zip(sources, [*average.parameters(), *average.buffers()], strict=True):
                if source.is_floating_point():
                    self._sources.append(source.detach())
                    self._targets.append(target.detach())
                else:
                    self._copied.append(source)
                    self._copies.append(target)

    @torch.no_grad()
    def update(self, images: int, images_seen: int) -> None:
        """Takes in the weights after a step of ``images`` images; ``images_seen`` counts them too."""
        if self._targets:
            torch._foreach_lerp_(self._targets, self._sources, 1.0 - self.memory(images, images_seen))
        if self._copies:
            torch._foreach_copy_(self._copies, self._copied)

    def memory(self, images: int, images_seen: int) -> float:
        """The factor on the average of before: one half after as many images as the half-life."""
        half_life = min(self._schedule.average_half_life, self._schedule.average_warmup * images_seen)
        return 0.5 ** (images / half_life) if half_life > 0 else 0.0
