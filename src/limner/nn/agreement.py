"""How well a picture and a caption agree: a dot product of what was seen and what is meant."""

from __future__ import annotations

import math

from torch import Tensor, nn

from limner.nn.blocks import places_and_largest

_LENGTH = 128


class Agreement(nn.Module):
    """Part of a discriminator's matching score (projection discriminator, Miyato and Koyama 2018).

    Of the 4x4 maps of a picture it takes every place, and the largest value in each channel.

    Args:
        features: channels F of the maps.
        text_size: length T of what a caption is told by.
    """

    def __init__(self, features: int, text_size: int) -> None:
        super().__init__()
        self.seen = nn.Linear(features * (16 + 1), _LENGTH)
        self.meant = nn.Linear(text_size, _LENGTH)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Maps (B, F, 4, 4) and texts (M, T), for the pictures in turn, again and again, to scores (M,) in float32,
        unbounded."""
        seen = self.seen(places_and_largest(features))
        return (seen.repeat(len(text) // len(seen), 1) * self.meant(text)).float().sum(1) / math.sqrt(_LENGTH)
