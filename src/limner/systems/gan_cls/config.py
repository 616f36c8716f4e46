"""Configurations and presets of GAN-CLS, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError
from limner.matching.config import MatchingConfig, PriorConfig
from limner.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class PaperGan:
    """The adversarial stage as the authors' two scripts have it."""

    schedule: Schedule
    """How long."""
    script: Literal["main_cls_int", "main_cls"] = "main_cls_int"
    """Whose discriminator: ``main_cls_int`` (birds, flowers) or ``main_cls`` (COCO)."""
    noise_size: int = 100
    """Length of the noise vector."""
    text_projection: int = 128
    """Length to which both networks project the caption's embedding."""
    generator_width: int = 128
    """ngf: channels of the generator's last hidden layer."""
    discriminator_width: int = 64
    """ndf: channels of the discriminator's first layer."""
    large: bool = False
    """Two more bottlenecks in the generator (``main_cls`` only)."""
    cls_weight: float = 0.5
    """Weight of the real picture with another class's text; 0 is the plain conditional GAN."""
    interp_weight: float = 1.0
    """Weight of interpolated captions in the generator's loss; 0 turns GAN-INT off."""
    interp_type: Literal[1, 2] = 1
    """1: the middle of two embeddings; 2: a random point on the line through them, up to half beyond either end."""
    captions: int = 4
    """Captions of a picture whose embeddings are averaged into its training condition."""
    captions_with_replacement: bool = True
    """Draw them with replacement (birds, flowers) or not (COCO)."""
    balance_classes: bool = True
    """Draw a class first, then one of its pictures (birds, flowers)."""
    batch_size: int = 64
    """Pictures in a batch."""
    learning_rate: float = 2e-4
    """Of both networks' Adam."""
    halve_every: int = 100
    """Epochs after which the learning rate is halved, again and again; an epoch shows as many images as there are."""
    scale_size: int = 76
    """Side to which pictures are squashed before the 64x64 crop, whose offsets start at 1; 0: no crop."""
    flip: bool = True
    """Mirror pictures at random."""

    def __post_init__(self) -> None:
        _check_sizes(self, "noise_size", "text_projection", "generator_width", "discriminator_width", "captions",
                     "batch_size", "halve_every")
        _check_crop(self.scale_size, self.image_size + 1)
        _check_learning_rates(self, "learning_rate")
        if not 0 <= self.cls_weight <= 1 or self.interp_weight < 0:
            raise LimnerError(f"cls_weight must be between 0 and 1 and interp_weight at least 0, got {self.cls_weight} "
                              f"and {self.interp_weight}.")
        if self.interp_weight and self.batch_size % 2:
            raise LimnerError(f"interpolation pairs the two halves of a batch: batch_size must be even, "
                              f"got {self.batch_size}.")
        if self.large and self.script != "main_cls":
            raise LimnerError("large is an option of the script main_cls only.")

    @property
    def image_size(self) -> int:
        return 64

    @property
    def augment(self) -> str:
        return ""


@dataclass(frozen=True, kw_only=True)
class ImprovedGan:
    """Our adversarial stage: a residual generator that hears the caption at every layer, against a discriminator with
    hinge loss that looks at each picture once. Both are normalised picture by picture and learn at high rates."""

    schedule: Schedule
    """How long."""
    image_size: int = 64
    """Side of the pictures: a power of two from 16 up."""
    noise_size: int = 32
    """Length of the noise vector."""
    condition_size: int = 128
    """Length of the vector that modulates every layer of the generator, and of the discriminator's text projection."""
    generator_width: int = 16
    """Channels of the generator at full resolution; each halving of the side doubles them, up to 8 times."""
    discriminator_width: int = 32
    """Channels of the discriminator at half resolution; each halving doubles them, up to 8 times."""
    gradient_penalty: float = 0.0
    """Weight, in the discriminator's loss, of half the squared gradient of its scores of real pictures with their own
    captions by the pictures (R1), taken at every eighth step with eight times the weight; 0 for none."""
    wrong_weight: float = 0.5
    """Share of the wrong pair (real picture, another picture's caption) in the discriminator's fake half."""
    close_wrong_share: float = 0.0
    """Share of wrong pairs whose caption is, of 512 drawn from other classes, the one that shares most words with the
    right one and yet contradicts what the picture's captions say, so that the discriminator must look at everything a
    caption says; the others take the neighbour's."""
    wrong_captions: int = 1
    """Wrong captions that every real picture is judged with in a step. The picture is looked at once all the same."""
    encoder_maps: bool = True
    """The discriminator also sees the feature maps of the image encoder that the text encoder was trained with, frozen
    (small-cnn only)."""
    augment: str = ""
    """Differentiable augmentation of everything the discriminator sees: a comma-separated choice of color,
    translation, cutout; empty for none."""
    variety_weight: float = 0.0
    """Weight, in the generator's loss, of the variety that noise brings: half of the captions of a step are then
    painted, each twice, and the two pictures are pushed apart up to ``variety_goal``; 0 for none."""
    variety_goal: float = 0.3
    """Mean distance of two pictures of one caption (-1..1), per mean distance of their noises, that is enough."""
    batch_size: int = 32
    """Pictures in a batch."""
    generator_rate: float = 1e-3
    """Learning rate of the generator's Adam."""
    discriminator_rate: float = 1e-3
    """Learning rate of the discriminator's Adam."""
    decay_from: float = 0.5
    """Fraction of the schedule after which both learning rates fall linearly to zero; 1 for never."""
    scale_size: int = 0
    """Side to which pictures are squashed before the crop; 0: no crop."""
    flip: bool = False
    """Mirror pictures at random (not where captions speak of left and right)."""

    def __post_init__(self) -> None:
        _check_sizes(self, "noise_size", "condition_size", "generator_width", "discriminator_width", "wrong_captions")
        if self.batch_size < 2:
            raise LimnerError(f"a wrong pair takes its caption from another row: batch_size must be at least 2, "
                              f"got {self.batch_size}.")
        _check_learning_rates(self, "generator_rate", "discriminator_rate")
        if self.image_size < 16 or self.image_size & (self.image_size - 1):
            raise LimnerError(f"image_size must be a power of two from 16 up, got {self.image_size}.")
        _check_crop(self.scale_size, self.image_size)
        for name in ("wrong_weight", "close_wrong_share", "decay_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise LimnerError(f"{name} must be between 0 and 1, got {getattr(self, name)}.")
        if self.gradient_penalty < 0:
            raise LimnerError(f"gradient_penalty must be at least 0, got {self.gradient_penalty}.")
        if self.variety_weight and self.batch_size % 2:
            raise LimnerError(f"variety_weight paints half of the captions twice: batch_size must be even, "
                              f"got {self.batch_size}.")
        unknown = set(filter(None, self.augment.split(","))) - {"color", "translation", "cutout"}
        if unknown:
            raise LimnerError(f"augment knows color, translation and cutout, got {', '.join(sorted(unknown))}.")


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """The optional last stage: an encoder from a picture to the noise that would give its style."""

    schedule: Schedule
    """How long."""
    width: int = 32
    """Channels of the first layer."""
    batch_size: int = 64
    """Painted pictures in a batch."""
    learning_rate: float = 2e-4
    """Of its Adam."""

    def __post_init__(self) -> None:
        _check_sizes(self, "width", "batch_size")
        _check_learning_rates(self, "learning_rate")


@dataclass(frozen=True, kw_only=True)
class GanClsConfig:
    """GAN-CLS: a text encoder, the adversarial stage, and perhaps a style encoder and a prior over captions."""

    matching: MatchingConfig
    """How the text encoder is trained."""
    gan: PaperGan | ImprovedGan
    """The adversarial stage."""
    style: StyleConfig | None = None
    """The style encoder, or None."""
    prior: PriorConfig | None = None
    """What completes a caption before it is painted (ours), or None."""

    def __post_init__(self) -> None:
        if self.matching.image_size != self.gan.image_size:
            raise LimnerError(f"matching.image_size and gan.image_size must be equal, got {self.matching.image_size} "
                              f"and {self.gan.image_size}.")
        if (isinstance(self.gan, ImprovedGan) and self.gan.encoder_maps
                and self.matching.image.architecture != "small-cnn"):
            raise LimnerError(f"only the image encoder small-cnn has feature maps to lend, not "
                              f"{self.matching.image.architecture}: set gan.encoder_maps=false.")
        if self.style is not None and self.gan.image_size != 64:
            raise LimnerError(f"the style encoder reads pictures of 64 pixels; gan.image_size is "
                              f"{self.gan.image_size}. Leave style out.")


def _check_sizes(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise LimnerError(f"{name} must be at least 1, got {getattr(config, name)}.")


def _check_crop(scale_size: int, least: int) -> None:
    if scale_size and scale_size < least:
        raise LimnerError(f"scale_size must be 0 (no crop) or at least {least}, got {scale_size}.")


def _check_learning_rates(config: object, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < 1:
            raise LimnerError(f"{name} must be between 0 and 1, got {getattr(config, name)}.")
