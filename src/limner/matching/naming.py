"""Naming: telling from a picture which words its captions have, which teaches an image encoder to see.

A contrast of pictures and captions is won by what tells most captions of a batch apart, such as colours and places;
what decides few pairs, such as shapes and textures, is learnt late. Here every word counts by itself. Source: Joulin
et al. 2016, "Learning visual features from large weakly supervised data", where a network learns nothing but this.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.blocks import places_and_largest
from limner.nn.initialisation import seeded_initialisation

Read = TypeVar("Read", covariant=True)


class MapReader(Protocol[Read]):
    """An image encoder that reads what it gives from its feature maps."""

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of the maps."""
        ...

    @property
    def side(self) -> int:
        """Side of the last."""
        ...

    def maps(self, images: Tensor) -> list[Tensor]: ...

    def read(self, maps: list[Tensor]) -> Read: ...


class Naming(Generic[Read]):
    """The words of pictures, and the layer that learns to tell them from an image encoder's last maps."""

    def __init__(self, encoder: MapReader[Read], tokens: np.ndarray, ranges: np.ndarray, *, words: int, seed: int
                 ) -> None:
        """``tokens``: int (captions, T), numbers 1 to ``words``, 0 where there is no word; ``ranges``: int (pictures,
        2), the first caption of a picture and the one behind its last."""
        self._encoder, self._tokens, self._ranges, self._words = encoder, tokens, ranges, words
        with seeded_initialisation(seed, "naming"):
            self.namer = nn.Linear(encoder.map_channels[-1] * (encoder.side**2 + 1), words)

    def see(self, images: Tensor) -> tuple[Read, Tensor]:
        """What the encoder gives for pictures (B, 3, S, S), and the logits of words (B, words)."""
        maps = self._encoder.maps(images)
        return self._encoder.read(maps), self.namer(places_and_largest(maps[-1]))

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
