"""A system that is interrupted in the middle of a training."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

from torch import Tensor

from limner.data.batch import Batch
from limner.systems.protocol import System
from limner.training.stage import StepContext


def interrupted(system: System, name: str, step: int) -> System:
    """The system, with a Ctrl-C in one step of one stage."""

    def build_stage(stage_name: str, *arguments: Any) -> Any:
        stage = system.build_stage(stage_name, *arguments)
        whole = stage.step

        def stopped(batch: Batch, context: StepContext) -> dict[str, Tensor]:
            if context.step == step:
                signal.raise_signal(signal.SIGINT)
            return whole(batch, context)

        if stage_name == name:
            stage.step = stopped  # type: ignore[method-assign]
        return stage

    return replace(system, build_stage=build_stage)
