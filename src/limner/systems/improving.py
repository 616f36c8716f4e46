"""What improved adversarial stages share in their configurations, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError


@dataclass(frozen=True, kw_only=True)
class Improving:
    """How an adversarial stage is taught beside its authors' losses. By default nothing of it is on."""

    batch_size: int = 64
    """Pictures in a batch."""
    second_beta: float = 0.999
    """Of every Adam; the first is 0.5."""
    decay_from: float = 1.0
    """Fraction of the schedule after which all learning rates fall linearly to zero; 1 for never."""
    loss: Literal["cross-entropy", "hinge"] = "cross-entropy"
    """Of the discriminators' scores: cross entropy (the authors') or hinge, which asks nothing more of pairs that are
    told apart by a margin (ours)."""
    kl_weight: float = 1.0
    """Weight of the KL divergence of the condition (a mean over its components) in the generator's loss."""
    gradient_penalty: float = 0.0
    """Weight, in each discriminator's loss, of half the squared gradient of its scores of real pictures with their own
    captions by the pictures (R1), taken at every eighth step with eight times the weight; 0 for none (the authors')."""
    painted_penalty: float = 0.0
    """Weight of the same of its scores of painted pictures (R2, ours)."""
    wrong_captions: int = 0
    """0: the wrong pairs of the authors' code. Else so many wrong captions for every real picture, which is looked at
    once all the same, and none of the picture's own class (of the same picture where the data has no classes)."""
    close_wrong_share: float = 0.0
    """Share of ``wrong_captions`` that are, of 512 of other classes, the one that shares most words with the right one
    and yet contradicts what the picture's captions say, so that the discriminators must look at everything a caption
    says."""
    variety_weight: float = 0.0
    """Weight, in the generator's loss, of the variety that noise brings: half of the captions are then painted, each
    twice, and the two pictures are pushed apart up to ``variety_goal``; 0 for none."""
    variety_goal: float = 0.3
    """Mean distance of two pictures of one caption (-1..1), per mean distance of their noises, that is enough."""
    energy_weight: float = 0.0
    """Weight, in the generator's loss, of the energy score, at every size, of paintings against the pictures of their
    captions: half of the captions are then painted, each twice, and colours (in a pixel, a block, the whole) are to be
    distributed as in the pictures; 0 for none (ours)."""
    reconstruction_weight: float = 0.0
    """Weight, in the generator's loss, of the mean squared distance (-1..1), at every size, of restored pictures from
    real ones, half of those of a step, which the generator paints from noise that a recognition network reads from
    them (StackGAN's refinement: from themselves scaled down); 0 for none (ours)."""
    recognition_weight: float = 1e-3
    """With ``reconstruction_weight``: weight of the KL divergence (a sum over components) of the recognised noise from
    the standard normal."""
    augment: str = ""
    """Differentiable augmentation of all that the discriminators see: a comma-separated choice of color, translation,
    cutout; empty for none. A picture is changed alike at all its sizes."""

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise LimnerError(f"wrong pairs and contrasts need other rows: batch_size must be at least 2, "
                              f"got {self.batch_size}.")
        if not 0 < self.second_beta < 1:
            raise LimnerError(f"second_beta must be between 0 and 1, got {self.second_beta}.")
        for name in ("gradient_penalty", "painted_penalty", "kl_weight", "wrong_captions", "variety_weight",
                     "variety_goal", "energy_weight", "reconstruction_weight", "recognition_weight"):
            if not getattr(self, name) >= 0:
                raise LimnerError(f"{name} must be at least 0, got {getattr(self, name)}.")
        for name in ("decay_from", "close_wrong_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise LimnerError(f"{name} must be between 0 and 1, got {getattr(self, name)}.")
        if self.close_wrong_share and not self.wrong_captions:
            raise LimnerError("close_wrong_share is a share of wrong_captions: set that to 1 at least.")
        if self.batch_size % self.rows_together:
            raise LimnerError(f"variety_weight and energy_weight paint half of the captions twice, and half of the "
                              f"pictures are restored for reconstruction_weight: batch_size must be a multiple of "
                              f"{self.rows_together}, got {self.batch_size}.")
        unknown = set(filter(None, self.augment.split(","))) - {"color", "translation", "cutout"}
        if unknown:
            raise LimnerError(f"augment knows color, translation and cutout, got {', '.join(sorted(unknown))}.")

    @property
    def paints_twice(self) -> bool:
        """Whether half of the captions are painted, each twice."""
        return self.variety_weight > 0 or self.energy_weight > 0

    @property
    def rows_together(self) -> int:
        """Of so many rows, or a multiple, a batch can be halved for what is painted twice and what is restored."""
        return (2 if self.paints_twice else 1) * (2 if self.reconstruction_weight else 1)
