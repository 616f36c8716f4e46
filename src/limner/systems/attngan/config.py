"""Configurations of AttnGAN, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError
from limner.matching.config import PriorConfig
from limner.matching.damsm.config import DamsmConfig
from limner.systems.improving import Improving
from limner.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class GanConfig(Improving):
    """The adversarial stage. The defaults are the authors' values for birds; what is not theirs is off. Their wrong
    pairs: every real picture but the last with the next row's caption."""

    schedule: Schedule
    """How long, and the half-life of the averaged generator."""
    stages: int = 3
    """Sizes that are painted, each twice the one before: 1 to 3."""
    base_size: int = 64
    """Side of the smallest pictures: a power of two from 8 up."""
    noise_size: int = 100
    """Length of the noise vector."""
    condition_size: int = 100
    """Length of the condition that the caption's vector becomes."""
    first_deviation: float = 1.0
    """Deviation of the condition before training, above 0 and at most 1 (the authors'). It is learnt, and changes
    little."""
    generator_width: int = 32
    """ngf: channels of the generator's maps at every painted size."""
    discriminator_width: int = 64
    """ndf: channels of the discriminators' first layer."""
    residual_blocks: int = 2
    """Of every refining stage of the generator."""
    modulated: bool = False
    """Condition and noise modulate every layer of the generator, in residual blocks that normalise each picture by
    itself, instead of the first layer alone (ours)."""
    word_heads: int = 0
    """With ``modulated``: so many questions that every place asks the words at once, by what it holds and where it is,
    at every map from 8 pixels up; 0: the authors' one question, at the painted sizes but the last."""
    judged_heads: int = 0
    """With ``discriminator`` matching: so many questions that every word of a caption asks the regions of the largest
    pictures, whose answers are part of the discriminator's score; 0: it is told the sentence alone, as the authors'."""
    dcgan: bool = False
    """The DCGAN form: one picture, of the largest size, and a discriminator without the unconditional head."""
    matching_weight: float = 5.0
    """lambda: weight of DAMSM's losses on the largest pictures."""
    length: int = 18
    """Words of a caption in training; of a longer one a random choice, in order, is taken."""
    official_mask: bool = False
    """Mask the words as the authors' code does: wrongly for captions of different length in a batch (see
    ``WordAttention``). All published weights were trained so."""
    average_buffers: bool = True
    """Paint with averaged statistics of batch normalisation beside the averaged weights; the authors' code pairs the
    averaged weights with the latest statistics."""
    discriminator: Literal["batch", "spectral", "matching"] = "batch"
    """``batch``: the authors' discriminators; ``spectral``: the same with spectral normalisation of the weights instead
    of batch normalisation; ``matching``: those of improved GAN-CLS, with layer normalisation, whitened captions, a dot
    product of what was seen and what the caption means, and no score of pictures alone. Without ``batch``, real and
    painted pictures pass in one go."""
    whitened: bool = False
    """The condition reads captions' vectors whitened: what the text encoder learnt late lies in directions of little
    variance."""
    encoder_maps: bool = False
    """The discriminators (``matching`` only) of pictures no smaller than those that DAMSM reads also see the feature
    maps of its image encoder (``small`` only), frozen."""
    recognition_width: int = 32
    """Channels of the first layer of the network that recognises noise, with ``reconstruction_weight``."""
    batch_size: int = 20
    """Pictures in a batch."""
    generator_rate: float = 2e-4
    """Learning rate of the generator's Adam."""
    discriminator_rate: float = 2e-4
    """Learning rate of each discriminator's Adam."""
    scale_size: int = 0
    """Side from which random crops are taken; 0: none."""
    flip: bool = False
    """Mirror pictures at random (not where captions speak of left and right)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise_size", "condition_size", "generator_width", "discriminator_width", "length",
                     "recognition_width"):
            if getattr(self, name) < 1:
                raise LimnerError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 1 <= self.stages <= 3 or self.residual_blocks < 0:
            raise LimnerError(f"stages must be 1, 2 or 3 and residual_blocks at least 0, got {self.stages} and "
                              f"{self.residual_blocks}.")
        if self.base_size < 8 or self.base_size & (self.base_size - 1):
            raise LimnerError(f"base_size must be a power of two from 8 up, got {self.base_size}.")
        if self.scale_size and self.scale_size < self.image_size:
            raise LimnerError(f"scale_size must be 0 (no crop) or at least {self.image_size}, got {self.scale_size}.")
        if not self.matching_weight >= 0:
            raise LimnerError(f"matching_weight must be at least 0, got {self.matching_weight}.")
        if not 0 < self.first_deviation <= 1:
            raise LimnerError(f"first_deviation must be above 0 and at most 1, got {self.first_deviation}.")
        if self.encoder_maps and self.discriminator != "matching":
            raise LimnerError("encoder_maps are lent to the discriminator 'matching' only.")
        if self.modulated and self.official_mask:
            raise LimnerError("the modulated generator is ours and has no official_mask: set one of them to false.")
        if self.word_heads < 0 or (self.word_heads and not self.modulated):
            raise LimnerError(f"word_heads must be at least 0, and 0 without modulated, got {self.word_heads}.")
        if self.judged_heads < 0 or (self.judged_heads and (self.discriminator != "matching" or self.image_size < 16)):
            raise LimnerError("judged_heads must be at least 0, and 0 without the discriminator 'matching' or below 16 "
                              f"pixels, got {self.judged_heads}.")
        for name in ("generator_rate", "discriminator_rate"):
            if not 0 < getattr(self, name) < 1:
                raise LimnerError(f"{name} must be between 0 and 1, got {getattr(self, name)}.")

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the generator's pictures, from the smallest."""
        return tuple(self.base_size << i for i in range(self.stages))

    @property
    def image_size(self) -> int:
        """Side of the largest pictures."""
        return self.sides[-1]

    @property
    def painted_sides(self) -> tuple[int, ...]:
        """Sides that have a head and a discriminator."""
        return self.sides[-1:] if self.dcgan else self.sides


@dataclass(frozen=True, kw_only=True)
class AttnGanConfig:
    """AttnGAN: DAMSM, then the adversarial stage with its help, and perhaps a prior over captions."""

    damsm: DamsmConfig
    """The matching model."""
    gan: GanConfig
    """The adversarial stage."""
    prior: PriorConfig | None = None
    """A prior that draws a complete caption's vector for a short one (ours); the words that regions look up stay those
    of the short one."""
    temperature: float = 1.0
    """Factor on the noise beside the condition in painting, unless the caller gives another: 0 to 1, 1 as in training;
    below it paintings are plainer and more legible (ours)."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 1:
            raise LimnerError(f"temperature must be between 0 and 1, got {self.temperature}.")
        damsm = self.damsm
        if self.gan.encoder_maps and (damsm.image.architecture != "small" or damsm.image_size < 32
                                      or damsm.image_size & (damsm.image_size - 1)):
            raise LimnerError("only DAMSM's image encoder small has feature maps to lend, where damsm.image_size is a "
                              "power of two from 32 up: set gan.encoder_maps=false.")
