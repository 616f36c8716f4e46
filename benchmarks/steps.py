"""What the benchmarks of training share: the next step of a stage, as the loop would take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning_fabric import Fabric

from limner.data.batch import Batch
from limner.data.loader import Loader
from limner.data.pictures import PictureSet
from limner.training.context import LoopContext

BATCHES = 4


def next_steps(stage: Any, pictures: PictureSet, batches: list[Batch], precision: str) -> Callable[[], object]:
    """A function that takes the next step of a stage.

    The batches are made here if the list is empty, so that stages which are compared can share them; making them is no
    part of a step. The schedule is at its start throughout.
    """
    if not batches:
        loader = Loader(pictures, stage.plan, 0)
        batches += [loader.batch(number) for number in range(BATCHES)]
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")
    steps = 0

    def step() -> object:
        nonlocal steps
        images = steps * stage.plan.batch_size
        context = LoopContext(fabric, 0, "benchmark", steps, images, stage.schedule.images)
        steps += 1
        return stage.step(batches[steps % len(batches)], context)

    return step
