"""Naming: telling from a picture which words its captions have, which teaches an image encoder to see.

A contrast of pictures and captions is won by what tells most captions of a batch apart, such as colours and places;
what decides few pairs, such as shapes and textures, is learnt late. Here every word counts by itself. Source: Joulin
et al. 2016, "Learning visual features from large weakly supervised data", where a network learns nothing but this.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.initialisation import seeded_initialisation


class WordNamer(nn.Module):
    """Scores for every word from maps, of which it takes every place and the largest value in each channel: what is
    learnt of a thing in one place helps to know it in another."""

    def __init__(self, *, channels: int, side: int, words: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels * (side**2 + 1), words)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, S, S) to logits (B, words)."""
        return self.layer(torch.cat([maps.flatten(1), maps.amax((2, 3))], dim=1))


class Naming:
    """The words of pictures, and the layer that learns to tell them from an image encoder's last maps."""

    def __init__(self, tokens: np.ndarray, ranges: np.ndarray, *, words: int, channels: int, side: int, seed: int
                 ) -> None:
        """``tokens``: int (captions, T), numbers 1 to ``words``, 0 where there is no word; ``ranges``: int (pictures,
        2), the first caption of a picture and the one behind its last; maps are (B, channels, side, side)."""
        self._tokens, self._ranges, self._words = tokens, ranges, words
        with seeded_initialisation(seed, "naming"):
            self.namer = WordNamer(channels=channels, side=side, words=words)

    def of(self, pictures: Tensor) -> Tensor:
        """Picture numbers (B,) to the words that their captions together have: 0 and 1, float32 (B, words)."""
        found = torch.zeros(len(pictures), self._words + 1)
        for row, (first, end) in enumerate(self._ranges[pictures.cpu().numpy()]):
            found[row, torch.from_numpy(self._tokens[first:end].ravel().astype(np.int64))] = 1
        return found[:, 1:].to(pictures.device)

    def loss(self, logits: Tensor, pictures: Tensor) -> Tensor:
        """Binary cross entropy of logits (B, words) for pictures (B,), summed over words, its mean over pictures."""
        total = functional.binary_cross_entropy_with_logits(logits.float(), self.of(pictures), reduction="sum")
        return total / len(logits)
