"""Which text encoder, and how wide: a frozen description that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from limner.errors import LimnerError

Architecture = Literal[
    "char-cnn-rnn", "char-cnn-rnn-long", "char-cnn-gru", "char-cnn-short", "char-cnn-large",
    "word-cnn-rnn", "word-cnn", "word-gru",
]  # fmt: skip


class Layer(NamedTuple):
    """A valid convolution over time and the valid max-pooling after it (pool 1: none)."""

    kernel: int
    pool: int = 1
    stride: int = 1


class Pattern(NamedTuple):
    """What an architecture's name fixes. ``widths`` names the numbers that a configuration must give, in order."""

    reads: Literal["characters", "words"]
    layers: tuple[Layer, ...]
    recurrence: Literal["relu", "gated"] | None
    widths: tuple[str, ...]


_CONVOLUTIONS = ("first convolution", "second convolution", "third convolution")
_LONG = (Layer(4, 3, 3), Layer(4, 3, 3), Layer(4))
_DEEP = (Layer(4, 3, 3), Layer(4, 3, 3), Layer(4, 3, 3))

PATTERNS: dict[Architecture, Pattern] = {
    "char-cnn-rnn": Pattern("characters", (Layer(4, 3, 3), Layer(4, 3, 3), Layer(4, 3, 2)), "relu", _CONVOLUTIONS),
    "char-cnn-rnn-long": Pattern("characters", _LONG, "relu", _CONVOLUTIONS),
    "char-cnn-gru": Pattern("characters", _LONG, "gated", _CONVOLUTIONS),
    "char-cnn-short": Pattern("characters", _DEEP, None, (*_CONVOLUTIONS, "hidden layer")),
    "char-cnn-large": Pattern("characters", _DEEP, None, _CONVOLUTIONS),
    "word-cnn-rnn": Pattern("words", (Layer(3), Layer(2, 3, 3), Layer(2)), "relu", _CONVOLUTIONS),
    "word-cnn": Pattern("words", (Layer(3, 3, 3), Layer(3), Layer(3)), None, (*_CONVOLUTIONS, "hidden layer")),
    "word-gru": Pattern("words", (), None, ("word embedding", "states of both directions")),
}
"""The published networks (Reed et al., CVPR 2016 and ICML 2016, released code) and, last, our own ``word-gru``."""


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """A text encoder: its architecture and sizes. Everything else follows from the name (see ``PATTERNS``)."""

    architecture: Architecture
    """Name of the network."""
    widths: tuple[int, ...]
    """Widths of the inner layers in the order of ``PATTERNS[architecture].widths``. A recurrence is as wide as the last
    convolution. The states of ``word-gru`` are split evenly over its two directions."""
    length: int
    """Tokens per caption: 201 characters or 30 words in the published networks."""
    embedding: int = 1024
    """Width D of the caption's vector."""
    average: bool = True
    """Whether the caption's vector comes from the mean of the recurrent states or, ``False`` and ``char-cnn-gru`` only,
    from the last one."""

    def __post_init__(self) -> None:
        if self.architecture not in PATTERNS:
            raise LimnerError(f"No text encoder is called {self.architecture!r}; there are {', '.join(PATTERNS)}.")
        pattern = self.pattern
        if len(self.widths) != len(pattern.widths) or min(self.widths) < 1:
            raise LimnerError(
                f"{self.architecture} needs {len(pattern.widths)} widths of at least 1 ({', '.join(pattern.widths)}), "
                f"got {self.widths}."
            )
        if self.embedding < 1:
            raise LimnerError(f"embedding must be at least 1, got {self.embedding}.")
        if self.architecture == "word-gru" and self.widths[1] % 2:
            raise LimnerError(f"word-gru splits its states over two directions; {self.widths[1]} is odd.")
        if not self.average and pattern.recurrence != "gated":
            raise LimnerError(f"average=False is known to char-cnn-gru only, not to {self.architecture}.")
        if self.length < 1 or self.steps < 1:
            raise LimnerError(f"{self.length} tokens are too few for the convolutions of {self.architecture}.")

    @property
    def pattern(self) -> Pattern:
        """What the architecture's name fixes."""
        return PATTERNS[self.architecture]

    @property
    def steps(self) -> int:
        """Time steps after the convolutions and poolings (``length`` where there are none)."""
        steps = self.length
        for layer in self.pattern.layers:
            steps = (steps - layer.kernel + 1 - layer.pool) // layer.stride + 1
            if steps < 1:
                return 0
        return steps


PUBLISHED: dict[str, TextEncoderConfig] = {
    "cvpr2016-birds": TextEncoderConfig(architecture="char-cnn-rnn", widths=(384, 512, 256), length=201),
    "cvpr2016-flowers": TextEncoderConfig(architecture="char-cnn-rnn", widths=(384, 512, 256), length=201),
    "icml2016-birds": TextEncoderConfig(architecture="char-cnn-gru", widths=(384, 512, 512), length=201),
    "icml2016-flowers": TextEncoderConfig(architecture="char-cnn-rnn", widths=(384, 512, 512), length=201),
    "icml2016-coco": TextEncoderConfig(architecture="char-cnn-gru", widths=(384, 512, 512), length=201),
    "cvpr2016-char-cnn-short": TextEncoderConfig(
        architecture="char-cnn-short", widths=(256, 256, 256, 1024), length=201
    ),
    "cvpr2016-char-cnn-large": TextEncoderConfig(architecture="char-cnn-large", widths=(384, 512, 512), length=201),
    "cvpr2016-word-cnn-rnn": TextEncoderConfig(architecture="word-cnn-rnn", widths=(512, 512, 512), length=30),
    "cvpr2016-word-cnn": TextEncoderConfig(architecture="word-cnn", widths=(256, 256, 256, 1024), length=30),
}
"""The released encoders by their paper and data set. ``icml2016-birds`` is also the encoder behind StackGAN's birds."""
