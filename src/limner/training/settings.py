"""How a training is run: what may differ between two runs of the same configuration. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError
from limner.precision import Precision


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run; the configuration of the system says everything else."""

    seed: int = 0
    """Seed of initial weights, batches and noise."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    precision: Precision = "auto"
    """bf16 autocast or plain float32; auto takes bf16 where it is faster (CUDA, AMX, AVX512-BF16 of AMD)."""
    threads: int = 0
    """CPU threads of torch; 0 leaves the choice to torch. Another number of threads may change last bits."""
    keep: int = 2
    """How many of the latest checkpoints of each stage are kept, beside the best one."""
    tensorboard: bool = False
    """Also write TensorBoard files (needs the extra ``track``)."""
    images: int | None = None
    """Images shown to each stage, in place of its own schedule. A resumed run keeps its number unless told another."""
    tick: int | None = None
    """Images between two ticks, in place of the stage's own schedule."""

    def __post_init__(self) -> None:
        for name, least in (("threads", 0), ("keep", 1), ("images", 1), ("tick", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise LimnerError(f"{name} must be at least {least}, got {value}.")
