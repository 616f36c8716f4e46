"""What the loop and a stage know of each other.

A stage owns its networks and optimisers and knows one verb: take a batch and do the updates that one step of this
stage means. The loop owns everything else and names no system.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from limner.data.batch import Batch, BatchPlan
from limner.training.schedule import Schedule

M = TypeVar("M", bound=nn.Module)


class WorkContext(Protocol):
    """What the networks' part of a step may ask of the loop."""

    @property
    def device(self) -> torch.device: ...

    def autocast(self) -> AbstractContextManager[Any]:
        """Forward passes go inside: bf16 where the run asks for it."""
        ...

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        """Standard normal noise (rows, *shape) on the device, addressed by (seed, stage, purpose, step).

        ``rows`` counts this process' rows; the processes' rows together are those of one process with the joined batch.
        """
        ...

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), addressed like ``normal``."""
        ...

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, *, retain_graph: bool = False) -> None:
        """zero_grad, backward, mean of the gradients over processes, step."""
        ...


Work = Callable[..., dict[str, Tensor]]
"""(WorkContext, *tensors) to named scalars."""


class StepContext(WorkContext, Protocol):
    """What the loop lends a stage for one step, one validation or one sample grid."""

    @property
    def step(self) -> int:
        """Steps done before this one."""
        ...

    @property
    def images_seen(self) -> int:
        """Images shown before this step, over all processes."""
        ...

    @property
    def fraction(self) -> float:
        """images_seen / Schedule.images, for schedules of the learning rate."""
        ...

    def recorded(self, work: Work, *inputs: Tensor | None, kind: Hashable = None) -> dict[str, Tensor]:
        """``work(context, *inputs)``, which a GPU records as CUDA graphs and replays in later steps.

        Python runs only in the first steps of each ``kind``; so apart from kind and inputs (on the device) nothing in
        the work may change from step to step, and nothing may depend in Python on the values of a tensor.
        """
        ...


class Stage(Protocol):
    """One thing that is trained. Built by its system with everything it needs; the loop drives it."""

    @property
    def plan(self) -> BatchPlan: ...

    @property
    def schedule(self) -> Schedule: ...

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Every module with state; saved and restored whole."""
        ...

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]: ...

    @property
    def averaged(self) -> tuple[str, ...]:
        """Names of the modules whose weights (and buffers) are averaged when the schedule asks for it."""
        ...

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """One step's updates. Returns named detached scalars, still on the device."""
        ...

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples | None:
        """Pictures from fixed captions and fixed noise with the given (averaged) modules; None if it paints nothing."""
        ...

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """Figures on held-out pictures with the given (averaged) modules; empty if there are none."""
        ...

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        """What this stage gives to later stages and to the painter, taken from the given (averaged) modules."""
        ...


@dataclass
class Samples:
    """A sample grid: R captions with C pictures each."""

    images: np.ndarray
    """uint8 (R * C, H, W, 3), the C pictures of a caption next to each other."""
    captions: list[str]
    """R captions."""


@dataclass
class Components:
    """The trained parts of a painter: what stages produce and a bundle holds."""

    weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Component name -> state dict; saved as ``<name>.safetensors``. A stage gets those of the stages before on the
    device of its run, everywhere else they lie on the CPU."""
    assets: dict[str, Any] = field(default_factory=dict)
    """Asset name -> JSON value (vocabularies ...); saved as ``<name>.json``."""

    def __or__(self, other: Components) -> Components:
        return Components({**self.weights, **other.weights}, {**self.assets, **other.assets})

    def to(self, device: torch.device) -> Components:
        """The same with all weights on a device."""
        return Components({name: {key: value.to(device) for key, value in part.items()}
                           for name, part in self.weights.items()}, self.assets)


def loaded(module: M, weights: dict[str, Tensor]) -> M:
    """A module with these weights, where they lie, frozen and ready for evaluation."""
    module.load_state_dict(weights)
    device = next((value.device for value in weights.values()), torch.device("cpu"))
    return module.to(device).eval().requires_grad_(False)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's state dict as CPU tensors, as ``Components`` hold it."""
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}
