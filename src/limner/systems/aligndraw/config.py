"""Configurations of alignDRAW and DRAW, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError
from limner.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """How captions are read and looked at."""

    length: int = 30
    """Most words of a caption that are read."""
    min_count: int = 1
    """How often a word must occur in the training captions to be in the vocabulary."""
    units: int = 128
    """L: units of the caption's LSTM in each direction."""
    alignment: int = 512
    """A: hidden units of the alignment between drawing step and words."""
    values: Literal["states", "words"] = "states"
    """What a step gets of the words it looks at: their states, which know the whole caption, as in the paper, or
    vectors of the words alone (ours)."""

    def __post_init__(self) -> None:
        _check_sizes(self, "length", "min_count", "units", "alignment")


@dataclass(frozen=True, kw_only=True)
class DrawingConfig:
    """The recurrent variational autoencoder that draws."""

    schedule: Schedule
    """How long."""
    image_size: int
    """H: side of the canvas in pixels."""
    channels: Literal[1, 3] = 3
    """C: 3 for colour; 1 for grey, where colours are taken by their brightness."""
    steps: int = 32
    """T: drawing steps."""
    encoder: int = 300
    """E: units of the encoder LSTM."""
    decoder: int = 300
    """D: units of the decoder LSTM."""
    latent: int = 150
    """Z: latent numbers a step."""
    read_size: int = 8
    """N of the read window (N x N points); 0 reads the whole picture without attention."""
    write_size: int = 8
    """N of the write window; 0 writes on the whole canvas without attention."""
    write_places: int = 0
    """0: five numbers move and size the write window, as in DRAW. Else it has the fixed side ``write_side``, and on
    either axis every step chooses among so many places, softly (ours)."""
    write_side: float = 0.5
    """Side of a write window with ``write_places``, as a share of the canvas."""
    grid: Literal["paper", "official"] = "paper"
    """Centres of the windows' filters: the paper's, which span the picture at the start, or the released code's, which
    are off by about one stride."""
    first_canvas: float = 0.0
    """Logit of every pixel before the first step; learned from there where there are captions."""
    batch_size: int = 100
    """Pictures in a batch."""
    first_weights: Literal["paper", "scaled"] = "paper"
    """The paper's N(0, 0.01), or scaled to the number of inputs, with open forget gates and windows without gaps."""
    optimiser: Literal["rmsprop", "adam"] = "rmsprop"
    """The paper's RMSprop, or Adam, which warms up over 100 steps."""
    learning_rate: float = 1e-3
    """Of the optimiser."""
    divergence_weight: float = 1.0
    """Weight of the divergence at the start of training, from where it falls evenly ..."""
    divergence_until: float = 0.5
    """... up to this fraction of the schedule ..."""
    divergence_end: float = 1.0
    """... to this weight; 1 is the bound's own. While latent numbers are dear, captions must explain pictures."""
    drop_from: float = 0.73
    """Fraction of the schedule after which the learning rate is a tenth (rmsprop) or falls evenly to 0 (adam); 1 for
    never."""
    flip: bool = False
    """Mirror pictures at random (not where captions speak of left and right)."""

    def __post_init__(self) -> None:
        _check_sizes(self, "image_size", "steps", "encoder", "decoder", "latent", "batch_size")
        for name in ("read_size", "write_size"):
            if not 0 <= getattr(self, name) <= self.image_size:
                raise LimnerError(f"{name} must be from 0 (no attention) to image_size {self.image_size}, "
                                  f"got {getattr(self, name)}.")
        if self.write_places and (self.write_places < 2 or self.write_size < 2 or not 0 < self.write_side < 1):
            raise LimnerError(f"placed windows need write_places and write_size of at least 2 and a write_side between "
                              f"0 and 1, got {self.write_places}, {self.write_size} and {self.write_side}.")
        if not 0 < self.learning_rate < 1 or not 0 < self.drop_from <= 1:
            raise LimnerError(f"learning_rate must be between 0 and 1 and drop_from above 0 and at most 1, "
                              f"got {self.learning_rate} and {self.drop_from}.")
        if not 1 <= self.divergence_end <= self.divergence_weight or not 0 < self.divergence_until <= 1:
            raise LimnerError("divergence_end must be at least 1 and at most divergence_weight, and divergence_until "
                              f"above 0 and at most 1, got {self.divergence_end}, {self.divergence_weight} and "
                              f"{self.divergence_until}.")


@dataclass(frozen=True, kw_only=True)
class SharpeningConfig:
    """The adversarial network that sharpens finished drawings."""

    schedule: Schedule
    """How long."""
    width: int = 128
    """Channels of its two hidden layers, and of the discriminator."""
    batch_size: int = 64
    """Pictures in a batch."""
    learning_rate: float = 2e-4
    """Of both networks' Adam."""
    fidelity: float = 10.0
    """Weight, beside the adversarial loss, of the mean absolute difference from the true picture."""

    def __post_init__(self) -> None:
        _check_sizes(self, "width", "batch_size")
        if not 0 < self.learning_rate < 1 or self.fidelity < 0:
            raise LimnerError(f"learning_rate must be between 0 and 1 and fidelity at least 0, "
                              f"got {self.learning_rate} and {self.fidelity}.")


@dataclass(frozen=True, kw_only=True)
class AlignDrawConfig:
    """alignDRAW, or DRAW where there are no captions to read."""

    drawing: DrawingConfig
    """The drawing stage."""
    captions: CaptionConfig | None
    """How captions are read; None is DRAW, which paints without words."""
    sharpening: SharpeningConfig | None = None
    """The sharpening stage, or None."""
    temperature: float = 1.0
    """Factor on the noise of the latent numbers in painting, unless the caller gives another: 0 to 1, 1 as in
    training; below it drawings are plainer and more legible."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 1:
            raise LimnerError(f"temperature must be between 0 and 1, got {self.temperature}.")
        if self.sharpening is not None and (self.captions is None or self.drawing.channels != 3):
            raise LimnerError("the sharpening stage works on colour pictures with captions: leave sharpening out.")


def _check_sizes(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise LimnerError(f"{name} must be at least 1, got {getattr(config, name)}.")
