"""How DAMSM is built and trained: a frozen description that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from limner.errors import LimnerError
from limner.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class DamsmText:
    """The text encoder, and how captions become words."""

    recurrence: Literal["lstm", "gru"] = "lstm"
    """The kind of the bidirectional recurrence."""
    sentence: Literal["last", "mean"] = "last"
    """What stands for the whole caption: the recurrence's last states (the authors'), or the mean of its words'."""
    word_size: int = 300
    """Length of a word's vector before the recurrence."""
    dropout: float = 0.5
    """Share of the entries of those vectors that training sets to zero."""
    length: int = 18
    """Words of a caption in training; of a longer one a random choice, in order, is taken."""
    min_count: int = 1
    """A word that occurs less often in the captions is unknown, and left out of captions."""
    ascii: bool = False
    """Reduce every word to its ASCII letters, as the authors' code does."""
    all_splits: bool = False
    """Count the words of the captions of all splits, as the authors' code does, and not of train alone."""

    def __post_init__(self) -> None:
        if min(self.word_size, self.length, self.min_count) < 1:
            raise LimnerError(f"word_size, length and min_count must be at least 1, got {self.word_size}, "
                              f"{self.length} and {self.min_count}.")
        if not 0 <= self.dropout < 1:
            raise LimnerError(f"dropout must be at least 0 and below 1, got {self.dropout}.")


@dataclass(frozen=True, kw_only=True)
class DamsmImage:
    """The image encoder: a vector for every region, and one for the whole picture."""

    architecture: Literal["inception", "small"] = "small"
    """``inception``: the frozen trunk of Inception-v3 with two trained heads. ``small``: a small network that is
    trained from scratch."""
    width: int = 48
    """Channels of the first layer of ``small``."""
    weights: str = ""
    """File of the trunk's weights (safetensors, written by ``limner.interop.attngan.convert_inception``); only
    ``inception`` takes it, and needs it to be trained."""
    align_corners: bool = False
    """Whether pictures are enlarged to 299 pixels with the corners' centres aligned, as PyTorch did up to 0.3, with
    which the official encoders were trained; ``inception`` only."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise LimnerError(f"width must be at least 1, got {self.width}.")
        if self.architecture != "inception" and (self.weights or self.align_corners):
            raise LimnerError("weights and align_corners belong to the architecture 'inception'.")


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """The three factors of the matching losses."""

    regions: float = 4.0
    """gamma 1: how sharply a word chooses its regions (all training files of the authors: 4; their default: 5)."""
    words: float = 5.0
    """gamma 2: how much the best matching words count."""
    pairs: float = 10.0
    """gamma 3: how sharply a caption chooses its picture among those of the batch, and the other way round."""

    def __post_init__(self) -> None:
        if min(self.regions, self.words, self.pairs) <= 0:
            raise LimnerError(f"regions, words and pairs must be above 0, got {self.regions}, {self.words} and "
                              f"{self.pairs}.")


@dataclass(frozen=True, kw_only=True)
class DamsmConfig:
    """DAMSM and its training."""

    schedule: Schedule
    """How long."""
    text: DamsmText = field(default_factory=DamsmText)
    """The text encoder."""
    image: DamsmImage = field(default_factory=DamsmImage)
    """The image encoder."""
    embedding: int = 256
    """Length D of the vectors of words, captions, regions and pictures; even, for the recurrence has two directions."""
    sharpness: Sharpness = field(default_factory=Sharpness)
    """Factors of the losses, here and where a generator is trained with them."""
    image_size: int = 64
    """Side of the pictures in pixels; 299 for ``inception``."""
    scale_size: int = 0
    """Side from which random crops are taken; 0: none."""
    flip: bool = False
    """Mirror pictures at random (not where captions speak of left and right)."""
    batch_size: int = 48
    """Pairs in a batch. Each process contrasts its own share."""
    mask_classes: bool = True
    """Do not contrast a picture with captions of other pictures of its class, where the data has labels."""
    learning_rate: float = 2e-3
    """First learning rate of Adam."""
    clip: float = 0.25
    """Largest norm of the gradient of the text encoder; 0 for no limit."""
    naming_weight: float = 0.0
    """Weight of the loss of naming (``matching.naming``), image encoder ``small`` only; 0 for none (the authors')."""
    recipe: Literal["paper", "modern"] = "modern"
    """``paper``: Adam (0.5, 0.999), times 0.98 after every epoch down to a tenth, moments forgotten at every epoch (the
    authors' code makes a new optimiser). ``modern``: AdamW, a short warm-up and a cosine to zero."""

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise LimnerError(f"matching contrasts the pairs of a batch: batch_size must be at least 2, "
                              f"got {self.batch_size}.")
        if self.embedding < 2 or self.embedding % 2:
            raise LimnerError(f"embedding must be even and at least 2, got {self.embedding}.")
        least = 75 if self.image.architecture == "inception" else 16
        if self.image_size < least or (self.scale_size and self.scale_size < self.image_size):
            raise LimnerError(f"image_size must be at least {least} for {self.image.architecture!r} and scale_size 0 "
                              f"(no crop) or at least image_size, got {self.image_size} and {self.scale_size}.")
        if not 0 < self.learning_rate < 1 or self.clip < 0:
            raise LimnerError(f"learning_rate must be between 0 and 1 and clip at least 0, got {self.learning_rate} "
                              f"and {self.clip}.")
        if self.naming_weight < 0 or (self.naming_weight and self.image.architecture != "small"):
            raise LimnerError(f"naming_weight must be at least 0, and 0 where the image encoder is not small, "
                              f"got {self.naming_weight}.")
