"""Configurations of StackGAN, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError
from limner.matching.config import MatchingConfig
from limner.systems.improving import Improving
from limner.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class EmbeddingFile:
    """Captions whose embeddings were computed beforehand, such as the authors' own; no text encoder is trained."""

    folder: str
    """A table of captions and embeddings, as ``limner.interop.stackgan_data`` writes it from the authors' pickles."""
    embedding: int = 1024
    """Length T of an embedding."""

    def __post_init__(self) -> None:
        _check_sizes(self, "embedding")


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The networks of both stages. Every default is the PyTorch release's; ``presets`` has the TensorFlow release."""

    sketch_size: int = 64
    """Side of the sketch, a power of two from 16 up."""
    image_size: int = 256
    """Side of the refinement, a power of two above ``sketch_size``."""
    condition_size: int = 128
    """Length C of the conditioning variable."""
    noise_size: int = 100
    """Length Z of the noise."""
    generator_width: int = 128
    """GF_DIM: the sketch starts with 8 times as many channels, the refinement with as many."""
    discriminator_width: int = 64
    """DF_DIM: channels of the first layer of both discriminators."""
    refinement_width: int = 0
    """GF_DIM of the refinement alone; 0: ``generator_width``, as in both releases."""
    refinement_discriminator_width: int = 0
    """DF_DIM of the refinement alone; 0: ``discriminator_width``, as in both releases."""
    residual_blocks: int = 4
    """Residual blocks of the refinement: the programs' default is 4; the settings for COCO say 2."""
    augmentation: bool = True
    """Conditioning augmentation; without, the condition is the mean and there is no KL term."""
    condition_activation: Literal["relu", "leaky-relu"] = "relu"
    """Over both halves of the conditioning layer: ``relu`` (PyTorch), which keeps the deviation at 1 or above, or
    ``leaky-relu`` (TensorFlow)."""
    condition_deviation: Literal["log-variance", "log-deviation"] = "log-variance"
    """What its second half is (PyTorch, TensorFlow)."""
    first_deviation: float = 1.0
    """Deviation of the condition before training, above 0 and at most 1 (both releases). It is learnt, and changes
    little."""
    condition_noise: Literal["normal", "truncated"] = "normal"
    """Noise of the condition: normal (PyTorch) or cut off at 2 deviations (TensorFlow)."""
    noise_first: bool = True
    """Noise before the condition in the sketch's input (PyTorch) or after it (TensorFlow)."""
    sketch_residual: bool = False
    """The sketch's generator has bottlenecks, a bias in its first layer and no hidden layer at full resolution
    (TensorFlow)."""
    modulated: bool = False
    """The sketch's generator hears noise and condition at every layer, in residual blocks (ours)."""
    keeps_sketch: bool = False
    """The refinement adds to the enlarged sketch instead of painting all anew (ours)."""
    exact_sketch: bool = False
    """With ``keeps_sketch``: what it adds averages to nothing over each of the sketch's pixels, so that the picture,
    scaled down, is the sketch, and a caption that the sketch shows is shown (ours)."""
    discriminator_residual: bool = False
    """Both discriminators have a bottleneck at 4x4 and a score without bias (TensorFlow)."""
    discriminator_reads: Literal["condition", "caption"] = "condition"
    """Both discriminators are told the mean of the generator's condition (PyTorch) or read the caption's embedding by
    a layer of their own (TensorFlow)."""
    joint_kernel: Literal[1, 3] = 3
    """Side of the convolution that joins picture and text in the discriminators (PyTorch 3, TensorFlow 1)."""
    unconditional: bool = True
    """The refinement's discriminator also scores pictures without their captions (PyTorch)."""
    discriminator: Literal["release", "matching"] = "release"
    """Of both stages: the releases', which the four fields above and ``condition_size`` shape, or that of improved
    GAN-CLS (ours): layer normalisation, so that real and painted pictures go through in one pass, whitened captions, a
    dot product of what was seen and what the caption means."""
    recognition_width: int = 32
    """Channels of the first layer of the network that recognises noise, where the sketch has one
    (``GanTraining.reconstruction_weight``)."""
    whitened: bool = False
    """The generators read captions' embeddings whitened: what the text encoder learnt late lies in directions of little
    variance (ours)."""
    encoder_maps: bool = False
    """The discriminators (``matching`` only) also see the feature maps of the image encoder that the text encoder was
    trained with, frozen (small-cnn only; ours)."""

    @property
    def reads_captions(self) -> bool:
        """Whether the discriminators read captions' embeddings, not what the generator makes of them."""
        return self.discriminator == "matching" or self.discriminator_reads == "caption"

    @property
    def refinement_widths(self) -> tuple[int, int]:
        """Of the refinement's generator and discriminator."""
        return (self.refinement_width or self.generator_width,
                self.refinement_discriminator_width or self.discriminator_width)

    def __post_init__(self) -> None:
        _check_sizes(self, "condition_size", "noise_size", "generator_width", "discriminator_width",
                     "recognition_width")
        for name in ("refinement_width", "refinement_discriminator_width"):
            if getattr(self, name) < 0:
                raise LimnerError(f"{name} must be at least 0 (0: as the sketch's), got {getattr(self, name)}.")
        for size in (self.sketch_size, self.image_size):
            if size < 16 or size & (size - 1):
                raise LimnerError(f"sketch_size and image_size must be powers of two from 16 up, got {size}.")
        if self.image_size <= self.sketch_size:
            raise LimnerError(f"image_size must be above sketch_size, got {self.image_size} and {self.sketch_size}.")
        if self.residual_blocks < 0:
            raise LimnerError(f"residual_blocks must be at least 0, got {self.residual_blocks}.")
        doublings = (self.image_size // self.sketch_size).bit_length() + 1
        refining = self.refinement_widths[0]
        if 8 * self.generator_width < self.sketch_size // 4 or 4 * refining < 1 << doublings:
            raise LimnerError(f"generator_width {self.generator_width} or refinement_width {refining} leaves no "
                              "channels after so many doublings of the side; it must be larger.")
        if self.modulated and (self.sketch_residual or self.generator_width < 2):
            raise LimnerError("a modulated sketch has residual blocks of its own and half as many channels as "
                              "generator_width: it needs sketch_residual=false and generator_width 2 at least.")
        if self.exact_sketch and not self.keeps_sketch:
            raise LimnerError("exact_sketch says what is added to a sketch: it needs keeps_sketch=true.")
        if not 0 < self.first_deviation <= 1 or (self.condition_activation == "relu" and self.first_deviation != 1):
            raise LimnerError("first_deviation must be above 0 and at most 1, and 1 with condition_activation 'relu', "
                              f"got {self.first_deviation}.")
        if self.encoder_maps and self.discriminator != "matching":
            raise LimnerError("encoder_maps are lent to the discriminator 'matching' only.")


@dataclass(frozen=True, kw_only=True)
class GanTraining(Improving):
    """How one adversarial stage is trained. Without ``wrong_captions`` the wrong pairs are those of ``wrong``."""

    schedule: Schedule
    """How long."""
    learning_rate: float = 2e-4
    """Of both networks' Adam."""
    halve_every: int = 600
    """Epochs after which both learning rates are halved, again and again; an epoch shows as many images as there
    are."""
    kl_weight: float = 2.0
    """Weight of the KL divergence of the condition (a mean over its components) in the generator's loss."""
    captions: int = 1
    """Captions of a picture whose embeddings are averaged into its training condition."""
    wrong: Literal["caption", "image"] = "caption"
    """The mismatched pair: a real picture with the caption of the next row (PyTorch; one row less), or a picture of
    another class with the row's own caption (TensorFlow)."""
    consistency_weight: float = 0.0
    """Refinement only: weight, in the generator's loss, of the mean distance (-1..1) of its pictures, scaled down, from
    the sketches that they refine; 0 for none (both releases)."""
    fresh_noise: bool = False
    """Paint once more with new noise for the generator's update (TensorFlow) instead of using the same pictures."""
    frozen_statistics: bool = False
    """Refinement only: the sketch's generator paints with its stored statistics, not with those of the batch, which
    both releases use and thereby let the stored ones drift."""
    crop: bool = True
    """Scale pictures to 76/64 of the side and cut out a random square of the side."""
    flip: bool = True
    """Mirror pictures at random (not where captions speak of left and right)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes(self, "captions", "halve_every")
        if not 0 < self.learning_rate < 1:
            raise LimnerError(f"learning_rate must be between 0 and 1, got {self.learning_rate}.")
        if not self.consistency_weight >= 0:
            raise LimnerError(f"consistency_weight must be at least 0, got {self.consistency_weight}.")
        if self.wrong_captions and self.wrong != "caption":
            raise LimnerError("wrong_captions does not go with wrong images, which are of other classes anyway.")

    def scale_size(self, image_size: int) -> int:
        """Side from which squares of ``image_size`` are cut; 0: no crop."""
        return image_size * 76 // 64 if self.crop else 0


@dataclass(frozen=True, kw_only=True)
class StackGanConfig:
    """StackGAN: a text encoder or a table of embeddings, the sketch (Stage I), the refinement (Stage II)."""

    text: MatchingConfig | EmbeddingFile
    """How the text encoder is trained, or where the captions' embeddings are."""
    networks: Networks
    """The networks of both stages."""
    sketch: GanTraining
    """Training of Stage I."""
    refinement: GanTraining
    """Training of Stage II."""
    temperature: float = 1.0
    """Factor on the noise beside the condition in painting, unless the caller gives another: 0 to 1, 1 as in training;
    below it paintings are plainer and more legible (ours)."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 1:
            raise LimnerError(f"temperature must be between 0 and 1, got {self.temperature}.")
        if self.sketch.frozen_statistics or self.sketch.consistency_weight:
            raise LimnerError("frozen_statistics and consistency_weight speak of the sketch while the refinement is "
                              "trained: set them in refinement.")
        if self.networks.encoder_maps and not (
                isinstance(self.text, MatchingConfig) and self.text.image.architecture == "small-cnn"
                and self.networks.sketch_size % self.text.image_size == 0):
            raise LimnerError("only the image encoder small-cnn, for pictures no larger than the sketch, has feature "
                              "maps to lend: set networks.encoder_maps=false.")

    @property
    def text_size(self) -> int:
        """Length T of a caption's embedding."""
        return self.text.text.embedding if isinstance(self.text, MatchingConfig) else self.text.embedding


def _check_sizes(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise LimnerError(f"{name} must be at least 1, got {getattr(config, name)}.")
