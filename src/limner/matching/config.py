"""How a text encoder is trained to agree with pictures: a frozen description that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from limner.errors import LimnerError
from limner.text.config import TextEncoderConfig
from limner.training.schedule import Schedule
from limner.vision.config import ImageEncoderConfig


@dataclass(frozen=True, kw_only=True)
class MatchingConfig:
    """Structured joint embedding: text encoder, image encoder, loss, recipe."""

    text: TextEncoderConfig
    """The text encoder."""
    schedule: Schedule
    """How long."""
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    """The image encoder; it is left behind when the text encoder is done, except as a judge in validation."""
    image_size: int = 64
    """Side of the pictures in pixels."""
    scale_size: int = 0
    """Side from which random crops are taken; 0: none."""
    flip: bool = False
    """Mirror pictures at random (not where captions speak of left and right)."""
    batch_size: int = 40
    """Pairs in a batch, all of different classes where the data has that many; with fewer classes (or no labels) any
    two pictures are told apart by their captions. Each process contrasts its own share."""
    symmetric: bool = True
    """Both directions of the hinge (DS-SJE) or only pictures as anchors (DA-SJE)."""
    naming_weight: float = 0.0
    """Weight of the loss of naming (``matching.naming``), ``small-cnn`` only; 0 for none (the paper's)."""
    recipe: Literal["paper", "modern"] = "modern"
    """``paper``: RMSprop, learning rate times 0.98 after as many steps as there are classes. ``modern``: AdamW, a short
    warm-up and a cosine to zero."""
    learning_rate: float = 1e-3
    """First (paper) or highest (modern) learning rate."""
    min_count: int = 1
    """Word encoders: a word that occurs less often in the training captions is unknown."""

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise LimnerError(f"matching contrasts the pairs of a batch: batch_size must be at least 2, "
                              f"got {self.batch_size}.")
        if self.image_size < 8 or (self.scale_size and self.scale_size < self.image_size):
            raise LimnerError(f"image_size must be at least 8 and scale_size 0 (no crop) or at least image_size, "
                              f"got {self.image_size} and {self.scale_size}.")
        if not 0 < self.learning_rate < 1:
            raise LimnerError(f"learning_rate must be between 0 and 1, got {self.learning_rate}.")
        if self.min_count < 1:
            raise LimnerError(f"min_count must be at least 1, got {self.min_count}.")
        if self.naming_weight < 0 or (self.naming_weight and (
                self.image.architecture != "small-cnn" or self.text.pattern.reads == "characters")):
            raise LimnerError(f"naming_weight must be at least 0, and 0 unless the image encoder is small-cnn and the "
                              f"text encoder reads words, got {self.naming_weight}.")


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """A prior over complete captions: how it is trained, and how a painter draws from it."""

    schedule: Schedule
    """How long; a caption of every image is shown, the image is not."""
    width: int = 320
    """Width of the hidden layers."""
    blocks: int = 3
    """Residual blocks."""
    batch_size: int = 512
    """Captions in a batch."""
    learning_rate: float = 1e-3
    """The highest, of Adam, after a short warm-up; then a cosine to zero."""
    withheld: float = 0.1
    """Share of captions that are withheld, so that there is something to guide away from."""
    guidance: float = 3.0
    """When painting: how much the caption counts, against no caption; 1 is what was learnt."""
    steps: int = 16
    """When painting: steps from noise to an embedding."""
    threshold: float = 1.5
    """When painting: a caption stays as it is if what it would become is nearer to it than this (mean squared distance
    of the whitened embeddings, whose components have a mean square of 1): it says nearly everything, and better."""

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise LimnerError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.learning_rate < 1:
            raise LimnerError(f"learning_rate must be between 0 and 1, got {self.learning_rate}.")
        if not 0 <= self.withheld < 1 or self.guidance < 0 or self.threshold < 0:
            raise LimnerError(f"withheld must be at least 0 and below 1, guidance and threshold at least 0, "
                              f"got {self.withheld}, {self.guidance} and {self.threshold}.")
