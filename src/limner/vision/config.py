"""Which image encoder, and how wide: a frozen description that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limner.errors import LimnerError


@dataclass(frozen=True, kw_only=True)
class ImageEncoderConfig:
    """An image encoder: pictures to vectors."""

    architecture: Literal["small-cnn", "pretrained"] = "small-cnn"
    """``small-cnn`` is trained from scratch; ``pretrained`` is a frozen model of the transformers library (extra
    ``pretrained``) with a trained linear layer on its features."""
    width: int = 48
    """Channels of the first layer of ``small-cnn``."""
    pretrained: str = ""
    """Folder of the pretrained model. Nothing is downloaded."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise LimnerError(f"width must be at least 1, got {self.width}.")
        if (self.architecture == "pretrained") != bool(self.pretrained):
            raise LimnerError("architecture 'pretrained' needs the field 'pretrained' (the folder of the model), "
                              "and no other architecture takes it.")
