"""Configurations of AttnGAN, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError
from limner.matching.config import PriorConfig
from limner.matching.damsm.config import DamsmConfig
from limner.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """The adversarial stage. The defaults are the authors' values for birds; what is not theirs is off."""

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
    dcgan: bool = False
    """The DCGAN form: one picture, of the largest size, and a discriminator without the unconditional head."""
    matching_weight: float = 5.0
    """lambda: weight of DAMSM's losses on the largest pictures."""
    kl_weight: float = 1.0
    """Weight of the KL divergence of the condition (a mean over its components) in the generator's loss."""
    length: int = 18
    """Words of a caption in training; of a longer one a random choice, in order, is taken."""
    official_mask: bool = False
    """Mask the words as the authors' code does: wrongly for captions of different length in a batch (see
    ``WordAttention``). All published weights were trained so."""
    average_buffers: bool = True
    """Paint with averaged statistics of batch normalisation beside the averaged weights; the authors' code pairs the
    averaged weights with the latest statistics."""
    wrong_captions: int = 0
    """0: the wrong pairs of the authors' code, every real picture but the last with the next row's caption. Else so
    many wrong captions for every real picture, which is looked at once all the same, and none of the picture's own
    class (of the same picture where the data has no classes)."""
    close_wrong_share: float = 0.0
    """Share of ``wrong_captions`` that are, of 512 of other classes, the one that shares most words with the right one
    and yet contradicts what the picture's captions say, so that the discriminators must look at everything a caption
    says."""
    discriminator: Literal["batch", "spectral", "matching"] = "batch"
    """``batch``: the authors' discriminators; ``spectral``: the same with spectral normalisation of the weights instead
    of batch normalisation; ``matching``: those of improved GAN-CLS, with layer normalisation, whitened captions, a dot
    product of what was seen and what the caption means, and no score of pictures alone. Without ``batch``, real and
    painted pictures pass in one go."""
    loss: Literal["cross-entropy", "hinge"] = "cross-entropy"
    """Of the discriminators' scores: cross entropy (the authors') or hinge, which asks nothing more of pairs that are
    told apart by a margin."""
    gradient_penalty: float = 0.0
    """Weight, in each discriminator's loss, of half the squared gradient of its scores of real pictures with their own
    captions by the pictures (R1), taken at every eighth step with eight times the weight; 0 for none (the authors')."""
    painted_penalty: float = 0.0
    """Weight of the same of its scores of painted pictures (R2, ours)."""
    whitened: bool = False
    """The condition reads captions' vectors whitened: what the text encoder learnt late lies in directions of little
    variance."""
    encoder_maps: bool = False
    """The discriminators (``matching`` only) of pictures no smaller than those that DAMSM reads also see the feature
    maps of its image encoder (``small`` only), frozen."""
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
    them; 0 for none (ours)."""
    recognition_weight: float = 1e-3
    """With ``reconstruction_weight``: weight of the KL divergence (a sum over components) of the recognised noise from
    the standard normal."""
    recognition_width: int = 32
    """Channels of the first layer of that network."""
    augment: str = ""
    """Differentiable augmentation of all that the discriminators see: a comma-separated choice of color, translation,
    cutout; empty for none. A picture is changed alike at all its sizes."""
    batch_size: int = 20
    """Pictures in a batch."""
    generator_rate: float = 2e-4
    """Learning rate of the generator's Adam."""
    discriminator_rate: float = 2e-4
    """Learning rate of each discriminator's Adam."""
    second_beta: float = 0.999
    """Of every Adam; the first is 0.5."""
    decay_from: float = 1.0
    """Fraction of the schedule after which all learning rates fall linearly to zero; 1 for never."""
    scale_size: int = 0
    """Side from which random crops are taken; 0: none."""
    flip: bool = False
    """Mirror pictures at random (not where captions speak of left and right)."""

    def __post_init__(self) -> None:
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
        if self.batch_size < 2:
            raise LimnerError(f"matching contrasts the rows of a batch: batch_size must be at least 2, "
                              f"got {self.batch_size}.")
        for name in ("gradient_penalty", "painted_penalty", "kl_weight", "matching_weight", "variety_weight",
                     "variety_goal", "energy_weight", "reconstruction_weight", "recognition_weight"):
            if getattr(self, name) < 0:
                raise LimnerError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if self.wrong_captions < 0:
            raise LimnerError(f"wrong_captions must be at least 0, got {self.wrong_captions}.")
        if not 0 <= self.close_wrong_share <= 1 or (self.close_wrong_share and not self.wrong_captions):
            raise LimnerError(f"close_wrong_share must be between 0 and 1, and 0 without wrong_captions, "
                              f"got {self.close_wrong_share}.")
        if not 0 <= self.decay_from <= 1:
            raise LimnerError(f"decay_from must be between 0 and 1, got {self.decay_from}.")
        if not 0 < self.first_deviation <= 1:
            raise LimnerError(f"first_deviation must be above 0 and at most 1, got {self.first_deviation}.")
        if self.encoder_maps and self.discriminator != "matching":
            raise LimnerError("encoder_maps are lent to the discriminator 'matching' only.")
        if self.modulated and self.official_mask:
            raise LimnerError("the modulated generator is ours and has no official_mask: set one of them to false.")
        if self.batch_size % self.rows_together:
            raise LimnerError(f"variety_weight and energy_weight paint half of the captions twice, and half of the "
                              f"pictures are restored for reconstruction_weight: batch_size must be a multiple of "
                              f"{self.rows_together}, got {self.batch_size}.")
        for name in ("generator_rate", "discriminator_rate", "second_beta"):
            if not 0 < getattr(self, name) < 1:
                raise LimnerError(f"{name} must be between 0 and 1, got {getattr(self, name)}.")
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

    def __post_init__(self) -> None:
        damsm = self.damsm
        if self.gan.encoder_maps and (damsm.image.architecture != "small" or damsm.image_size < 32
                                      or damsm.image_size & (damsm.image_size - 1)):
            raise LimnerError("only DAMSM's image encoder small has feature maps to lend, where damsm.image_size is a "
                              "power of two from 32 up: set gan.encoder_maps=false.")
