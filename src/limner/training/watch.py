"""Sees when a training goes wrong: losses or weights that are no numbers, pictures that are all the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from limner.errors import TrainingStopped

SAME = 0.5
"""Pictures count as the same if a pixel varies by less than this standard deviation (of 255) between them."""
START_FRACTION = 0.1
START_STEPS = 500
"""Pictures may still all be alike in the first tenth of the images and in the first 500 steps."""


def check_losses(losses: Mapping[str, float], *, stage: str, images: int, last_good: Path | None) -> None:
    """Raises TrainingStopped with a diagnosis if a loss is not a finite number."""
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    if bad:
        raise TrainingStopped(
            f"the loss {bad[0]!r} of stage {stage!r} is no longer a finite number, at {images:,} images. "
            f"{_keeps(last_good)} "
            "Try a lower learning rate, --precision 32, or look for broken pictures with limner data check."
        )


def stop_for_weights(tensor: str, *, stage: str, images: int, last_good: Path | None) -> TrainingStopped:
    """The word for weights or moments that hold NaN or infinity although the losses were finite."""
    return TrainingStopped(
        f"{tensor} of stage {stage!r} holds values that are not finite numbers, at {images:,} images; they were not "
        f"saved. {_keeps(last_good)} Try a lower learning rate or --precision 32."
    )


def _keeps(last_good: Path | None) -> str:
    if last_good is None:
        return "No state was saved before; start again."
    return f"The last good state is {last_good}; --resume goes on from it."


def spread(images: np.ndarray) -> tuple[float, float]:
    """How much pictures (uint8 (N, H, W, 3)) differ: standard deviation of a pixel over the pictures, and of the
    pixels within a picture, each as a mean in grey levels of 255. The first is NaN for a single picture."""
    numbers = images.astype(np.float32)
    between = float(numbers.std(axis=0).mean()) if len(images) > 1 else math.nan
    return between, float(numbers.std(axis=(1, 2)).mean())


class CollapseWatch:
    """Counts ticks in a row whose sample pictures are all the same or all one colour."""

    def __init__(self, ticks: int = 0) -> None:
        self.ticks = ticks

    def look(self, between: float, within: float, *, step: int, fraction: float) -> str | None:
        """Takes in the spread of a tick's samples. The second bad tick in a row gives a diagnosis, else None."""
        if step < START_STEPS or fraction < START_FRACTION:
            return None
        fault = None
        if within < SAME:
            fault = "all pictures of the sample grid are one flat colour"
        elif between < SAME:
            fault = "all pictures of the sample grid are the same, whatever the caption and the noise"
        self.ticks = self.ticks + 1 if fault else 0
        return fault if self.ticks >= 2 else None


def stop_for_collapse(fault: str, *, stage: str, images: int, last_good: Path | None) -> TrainingStopped:
    """The word for a generator that collapsed."""
    return TrainingStopped(
        f"stage {stage!r} has collapsed: {fault}, at {images:,} images and at the tick before. {_keeps(last_good)} "
        "Delete later checkpoints to go back further. Try a lower learning rate of the discriminator, another "
        "--seed, or a preset with a stabler loss."
    )
