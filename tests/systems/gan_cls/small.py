"""Small real parts for the tests of the stages and of the painter."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.systems import get_system
from limner.systems.gan_cls.config import GanClsConfig
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.settings import RunSettings
from limner.training.stage import Components, Stage, Work

SYSTEM = get_system("gan-cls")


@cache
def corpus(count: int = 24) -> Corpus:
    return Corpus({split: PictureSet.from_arrays(*shapes_arrays(count, size=64, split=split))
                   for split in ("train", "val")})


def context(*, images_seen: int = 0, images: int = 1000, step: int = 0, precision: Literal["32", "bf16"] = "32",
            ) -> LoopContext:
    fabric = launch(RunSettings(device="cpu", precision=precision, threads=1))
    return LoopContext(fabric, 0, "gan", step, images_seen, images)


def built(name: str, config: GanClsConfig, components: Components) -> Any:
    return SYSTEM.build_stage(name, config, corpus(), components, 0)


def fresh(config: GanClsConfig, *, until: str) -> Components:
    """Components of untrained stages up to (not including) the one named."""
    components = Components()
    for name in SYSTEM.stage_names(config):
        if name == until:
            break
        stage = built(name, config, components)
        components = components | stage.components(stage.modules)
    return components


def step(stage: Stage, at: LoopContext) -> dict[str, Tensor]:
    return stage.step(Loader(corpus().split("train"), stage.plan, 0).batch(at.step), at)


def values(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def equal(first: Iterable[Tensor], second: Iterable[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@dataclass
class Told:
    """A context whose noise is given, or drawn anew and noted; ``update`` runs what is asked before and after."""

    noise: dict[str, Tensor] = field(default_factory=dict)
    watched: dict[str, nn.Module] = field(default_factory=dict)
    step: int = 0
    images_seen: int = 0
    fraction: float = 0.0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    asked: dict[str, tuple[int, ...]] = field(default_factory=dict)
    changed: list[list[str]] = field(default_factory=list)
    """For each update, the watched networks with other parameters or gradients than before it."""

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        self.asked[purpose] = (rows, *shape)
        if purpose in self.noise:
            assert self.noise[purpose].shape == (rows, *shape)
            return self.noise[purpose]
        return torch.randn(rows, *shape, generator=torch.Generator().manual_seed(len(self.asked)))

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        self.asked[purpose] = (rows, *shape)
        return torch.rand(rows, *shape, generator=torch.Generator().manual_seed(len(self.asked)))

    def recorded(self, work: Work, *inputs: Tensor | None, kind: Hashable = None) -> dict[str, Tensor]:
        return work(self, *inputs)

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, *, retain_graph: bool = False) -> None:
        before = {name: self._state(module) for name, module in self.watched.items()}
        optimiser.zero_grad(set_to_none=True)
        loss.backward(retain_graph=retain_graph)
        optimiser.step()
        after = {name: self._state(module) for name, module in self.watched.items()}
        self.changed.append([name for name in before if not equal(before[name], after[name])])

    @staticmethod
    def _state(module: nn.Module) -> list[Tensor]:
        gradients = [torch.zeros(()) if p.grad is None else p.grad.clone() for p in module.parameters()]
        return [*values(module), *gradients]
