"""What the loop lends a stage; see ``StepContext`` for the contract."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from limner.randomness import normal, stream, torch_generator
from limner.training.devices import average_gradients
from limner.training.graphs import StepRecorder
from limner.training.stage import Work


@dataclass(frozen=True)
class LoopContext:
    """One step, one validation or one sample grid.

    Noise is a function of its address: asking twice for the same purpose in one step gives the same numbers.
    """

    fabric: Fabric
    seed: int
    stage: str
    step: int
    images_seen: int
    images: int
    """Images of the whole schedule."""
    phase: str = "step"
    """``step``: noise differs from step to step and is shared over processes. Any other (``sample``, ``validate``):
    noise stays the same from tick to tick, and the context belongs to one process."""
    recorder: StepRecorder | None = None
    """What records the steps' work; None on devices that cannot."""

    @property
    def device(self) -> torch.device:
        return self.fabric.device

    @property
    def fraction(self) -> float:
        return self.images_seen / self.images

    def autocast(self) -> AbstractContextManager[Any]:
        return self.fabric.autocast()

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        first, total, step = self._share(rows)
        noise = normal(self.seed, self._address(purpose), step, shape=(total, *shape))
        return noise[first:first + rows].to(self.device, non_blocking=True)

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        first, total, step = self._share(rows)
        numbers = stream(self.seed, self._address(purpose), step).random((total, *shape), dtype=np.float32)
        return torch.from_numpy(numbers[first:first + rows]).to(self.device, non_blocking=True)

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, *, retain_graph: bool = False) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward(retain_graph=retain_graph)
        self._apply(optimiser)

    def recorded(self, work: Work, *inputs: Tensor | None, kind: Hashable = None) -> dict[str, Tensor]:
        if self.recorder is None:
            return work(self, *inputs)
        return self.recorder.run(self, self._apply, work, inputs, kind)

    def seed_global_generators(self) -> None:
        """Sets torch's global generators to an address of this step and process.

        Layers such as dropout can draw from nowhere else. This makes their draws addressed too.
        """
        key = torch_generator(self.seed, f"{self.stage}/{self.phase}/global", self.step,
                              self.fabric.global_rank).initial_seed()
        torch.default_generator.manual_seed(key)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(key)
        elif self.device.type == "mps":
            torch.mps.manual_seed(key)

    def _apply(self, optimiser: torch.optim.Optimizer) -> None:
        average_gradients(optimiser, self.fabric.world_size)
        optimiser.step()

    def _address(self, purpose: str) -> str:
        return f"{self.stage}/{self.phase}/{purpose}"

    def _share(self, rows: int) -> tuple[int, int, int]:
        """First row of this process, rows of all processes, index of the step in the address."""
        if self.phase != "step":
            return 0, rows, 0
        return self.fabric.global_rank * rows, self.fabric.world_size * rows, self.step
