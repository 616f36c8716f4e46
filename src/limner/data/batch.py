"""What a stage asks of the loader, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limner.errors import LimnerError


@dataclass(frozen=True)
class BatchPlan:
    """How a stage wants its batches made. A batch is a function of (seed, step, rank, world size) and of this plan."""

    batch_size: int
    """Pictures in a batch, over all processes together."""
    image_size: int
    """Side of the square pictures in pixels."""
    scale_size: int = 0
    """Side to which pictures are scaled before a random crop of ``image_size`` is taken; 0: no crop."""
    crop_offset_low: int = 0
    """Smallest crop offset in pixels (the GAN-CLS code never draws 0, so its presets say 1)."""
    flip: bool = False
    """Mirror left to right with probability one half; boxes and key points follow."""
    captions_per_image: int = 1
    """How many captions of each picture to draw."""
    captions_with_replacement: bool = False
    """Draw them with replacement, as the GAN-CLS code does for birds and flowers."""
    balance_classes: bool = False
    """Draw a class uniformly, then one of its pictures uniformly, instead of a pass over shuffled pictures."""
    distinct_classes: bool = False
    """All pictures of the batch (of each process' share) come from different classes."""
    wrong_images: bool = False
    """Also give a picture of another class for every row (another picture where the data has no labels)."""

    rows_together: int = 1
    """Each process' share of the batch must hold a multiple of so many rows."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.image_size < 8:
            raise LimnerError(f"batch_size must be at least 1 and image_size at least 8, "
                              f"got {self.batch_size} and {self.image_size}.")
        if self.scale_size and self.scale_size < self.image_size + self.crop_offset_low:
            raise LimnerError(f"scale_size {self.scale_size} leaves no room for a crop of {self.image_size} "
                              f"from offset {self.crop_offset_low}.")
        if self.captions_per_image < 1:
            raise LimnerError(f"captions_per_image must be at least 1, got {self.captions_per_image}.")

    @property
    def cache_size(self) -> int:
        """Side at which pictures are cached."""
        return self.scale_size or self.image_size


@dataclass
class Batch:
    """One process' share of a batch; B is that share. Tensors lie on the CPU until ``to`` moves them."""

    indices: Tensor
    """int64 (B,): which picture of the split each row is."""
    images: Tensor
    """uint8 (B, 3, S, S), channels-last in memory, 0..255."""
    captions: Tensor
    """int64 (B, K): indices into ``PictureSet.captions``."""
    labels: Tensor | None = None
    """int64 (B,): class numbers 0..C-1, or None where the data has no labels."""
    wrong_images: Tensor | None = None
    """uint8 (B, 3, S, S): pictures of another class, where the plan asks for them."""
    boxes: Tensor | None = None
    """float32 (B, 4): x, y, width, height as fractions of the crop (may reach outside 0..1), NaN where unknown."""
    keypoints: Tensor | None = None
    """float32 (B, P, 3): x, y as fractions of the crop, visibility 0 or 1 (0 outside the crop)."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items() if value is not None}
        return Batch(**moved)


def as_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1, keeping the memory layout."""
    return images.float().mul_(1 / 127.5).sub_(1.0)


def as_uint8(images: Tensor) -> Tensor:
    """float -1..1 to uint8 0..255, rounded to nearest and clipped."""
    return images.float().add(1.0).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)
