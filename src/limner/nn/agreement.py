"""How well a picture and a caption agree: dot products of what was seen and what is meant."""

from __future__ import annotations

import math

from torch import Tensor, nn

from limner.nn.blocks import places_and_largest
from limner.nn.heads import HEAD_SIZE, by_head

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


class WordAgreement(nn.Module):
    """Part of a discriminator's matching score: how well the regions of a picture agree with each word of a caption.

    Every word asks the regions several questions (multi-head attention; a word's shares of the regions sum to 1). The
    score is the mean over the words of the dot products of what was found and what the word means. Regions are treated
    alike wherever they are, so what was learnt of a word in one place holds in all others, and a word that does not fit
    is blamed by itself.

    Args:
        features: channels F of the regions.
        word_size: length D of the words' vectors, which are normalised, each by itself.
        heads: questions that a word asks.

    Source: attention as in Vaswani et al. 2017; a discriminator that judges words by regions as in Li et al. 2019,
    "Controllable text-to-image generation" (form and losses are others).
    """

    def __init__(self, features: int, word_size: int, *, heads: int) -> None:
        super().__init__()
        size = heads * HEAD_SIZE
        self.seen = nn.Conv2d(features, 2 * size, 1)
        self.normalisation = nn.LayerNorm(word_size, elementwise_affine=False)
        self.told = nn.Linear(word_size, 2 * size)

    def forward(self, regions: Tensor, words: Tensor, padding: Tensor) -> Tensor:
        """Regions (B, F, H, W), and of captions, for the pictures in turn, again and again, words (M, D, T) and padding
        bool (M, T), true where there is no word, to scores (M,) in float32, unbounded."""
        keys, values = (by_head(part) for part in self.seen(regions).flatten(2).transpose(1, 2).chunk(2, 2))
        told = self.told(self.normalisation(words.transpose(1, 2)))
        told = told.unflatten(0, (-1, len(regions))).transpose(0, 1).flatten(1, 2)  # a picture's captions in a row
        asked, meant = (by_head(part) for part in told.chunk(2, 2))
        shares = (asked @ keys.transpose(2, 3) / math.sqrt(HEAD_SIZE)).float().softmax(3)
        found = shares.to(values.dtype) @ values
        scores = (found * meant).float().sum((1, 3)) / math.sqrt(HEAD_SIZE)
        scores = scores.unflatten(1, (-1, words.shape[2])).transpose(0, 1).flatten(0, 1)
        there = (~padding).float()
        return (scores * there).sum(1) / there.sum(1)
