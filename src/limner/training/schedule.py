"""How long a stage trains: part of a configuration, so it needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limner.errors import LimnerError


@dataclass(frozen=True)
class Schedule:
    """How long a stage trains and how often it reports. Time is counted in images shown, not in steps or epochs."""

    images: int
    """Images shown to the stage in all."""
    tick: int = 10_000
    """Images between two ticks: a log line, a sample grid, a validation and a checkpoint are made at each."""
    average_half_life: int = 0
    """Half-life of the exponential average of the weights, in images; 0 keeps no average."""
    average_warmup: float = 0.05
    """The half-life is at most this fraction of the images shown so far, so that early weights are forgotten."""
    best: str = ""
    """Name of the validation figure by which the best checkpoint is kept (higher is better); empty: only the last."""

    def __post_init__(self) -> None:
        if self.images < 1 or self.tick < 1 or self.average_half_life < 0:
            raise LimnerError("images and tick must be at least 1 and average_half_life at least 0, got "
                              f"{self.images}, {self.tick}, {self.average_half_life}.")


def falling(fraction: float, start: float) -> float:
    """Factor on a learning rate at a fraction of a schedule: 1 up to ``start``, from there evenly down to 0 at 1."""
    return 1.0 if fraction <= start else max(0.0, (1 - fraction) / (1 - start))


def warmed_cosine(step: int, fraction: float) -> float:
    """Factor on a learning rate: evenly up to 1 over 100 steps, times half a cosine down to 0 at fraction 1."""
    return min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
