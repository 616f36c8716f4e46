"""The discriminators of our improved systems: they look at a picture once and judge it with many captions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.agreement import Agreement, WordAgreement
from limner.nn.whitening import Whitened
from limner.nn.wide import WideConv2d, joint_convolution

_LARGEST_FACTOR = 8


class MatchingDiscriminator(nn.Module):
    """Scores pictures with captions, in two parts: ``look`` at a picture once, ``judge`` what was seen by any caption.

    Strided 4x4 convolutions down to a 4x4 map; then, as in GAN-CLS, the projected caption is joined to every place of
    the map, a 1x1 convolution mixes them and a 4x4 convolution gives one score. Every layer but the first and the last
    is normalised over all its channels and places (layer normalisation), each picture by itself. To the score comes the
    agreement of what was seen and what the caption means.

    ``look`` may be lent another network's feature maps of the same pictures; a 1x1 convolution adds them to its own of
    the same side (compare projected GANs, Sauer et al. 2021).

    Args:
        text_size: length T of captions' embeddings, which are whitened (``nn.whitening.fit_whitening``).
        condition_size: length of what they are projected to.
        width: channels at half resolution; each halving doubles them, up to 8 times.
        image_size: side of the pictures, a power of two from 8 up.
        lent: channels of the lent maps, the last of side 4 and each twice the side of the next. Those larger than the
            second layer's maps are not taken; none for no maps.
    """

    by_batch = False
    """Whether a picture is normalised with the others of its batch."""

    def __init__(self, *, text_size: int, condition_size: int, width: int, image_size: int, lent: Sequence[int] = ()
                 ) -> None:
        super().__init__()
        halvings = int(math.log2(image_size // 4))
        channels = [3, *(width * min(2**i, _LARGEST_FACTOR) for i in range(halvings))]
        self.channels = channels
        """Of the picture and of the layers' maps."""
        taken = lent[max(0, len(lent) - halvings + 1):]
        self.layers = nn.ModuleList(
            WideConv2d(before, after, 4, stride=2, padding=1) for before, after in itertools.pairwise(channels)
        )
        self.normalisations = nn.ModuleList(nn.GroupNorm(1, width) for width in channels[2:])
        self.laterals = nn.ModuleList(
            nn.Conv2d(count, own, 1, bias=False)
            for count, own in zip(taken, channels[len(channels) - len(taken):], strict=True)
        )
        self.whitened = Whitened(text_size)
        self.text = nn.Linear(text_size, condition_size)
        self.joint = nn.Conv2d(channels[-1] + 1 + condition_size, channels[-1], 1)
        self.joint_normalisation = nn.GroupNorm(1, channels[-1])
        self.score = nn.Conv2d(channels[-1], 1, 4)
        self.agreement = Agreement(channels[-1], text_size)

    def look(self, images: Tensor, lent: Sequence[Tensor] = ()) -> Tensor:
        """Pictures (B, 3, S, S) in -1..1, and the lent maps of them, to feature maps (B, F, 4, 4)."""
        return self._maps(images, lent)[-1]

    def _maps(self, images: Tensor, lent: Sequence[Tensor]) -> list[Tensor]:
        """The maps of all layers."""
        x = functional.leaky_relu(self.layers[0](images), 0.2)
        additions = [lateral(maps) for lateral, maps in
                     zip(self.laterals, lent[len(lent) - len(self.laterals):], strict=True)]
        own = len(self.normalisations) - len(additions)
        maps = [x]
        for place, (layer, normalisation) in enumerate(zip(self.layers[1:], self.normalisations, strict=True)):
            x = layer(x)
            if place >= own:
                x = x + additions[place - own]
            x = functional.leaky_relu(normalisation(x), 0.2)
            maps.append(x)
        return maps

    def judge(self, features: Tensor, text: Tensor) -> Tensor:
        """Feature maps (B, F, 4, 4) and embeddings (M, text_size), for the pictures in turn, again and again, to
        scores (M,) in float32, unbounded."""
        text = self.whitened(text)
        told = functional.leaky_relu(self.text(text), 0.2)
        joint = self.joint_normalisation(joint_convolution(self.joint, with_batch_variety(features), told))
        score = self.score(functional.leaky_relu(joint, 0.2)).flatten().float()
        return score + self.agreement(features, text)

    def judge_alone(self, features: Tensor) -> None:
        """It has no score of pictures without captions."""


class WordMatchingDiscriminator(MatchingDiscriminator):
    """A ``MatchingDiscriminator`` that judges words, too, by the map of 8x8 regions before its last.

    Args:
        word_size: length D of the words' vectors.
        word_heads: questions that a word asks the regions, see ``WordAgreement``.
        text_size, condition_size, width, image_size, lent: as ``MatchingDiscriminator``; pictures from 16 pixels up.
    """

    def __init__(self, *, word_size: int, word_heads: int, text_size: int, condition_size: int, width: int,
                 image_size: int, lent: Sequence[int] = ()) -> None:
        super().__init__(text_size=text_size, condition_size=condition_size, width=width, image_size=image_size,
                         lent=lent)
        self.word_agreement = WordAgreement(self.channels[-2], word_size, heads=word_heads)

    def look(self, images: Tensor, lent: Sequence[Tensor] = ()) -> Tensor:
        """Pictures (B, 3, S, S) in -1..1, and the lent maps of them, to the last map and the regions, (B, N) in a row.
        """
        *_, regions, last = self._maps(images, lent)
        return torch.cat([last.flatten(1), regions.flatten(1)], 1)

    def judge(self, features: Tensor, text: Tensor) -> Tensor:
        """What was seen (B, N) and embeddings (M, text_size) to scores (M,); ``judge_words`` has the words' part."""
        return super().judge(self._map(features[:, :16 * self.channels[-1]], side=4), text)

    def judge_words(self, features: Tensor, words: Tensor, padding: Tensor) -> Tensor:
        """What was seen (B, N), words (M, D, T) and padding bool (M, T), for the pictures in turn, again and again, to
        scores (M,) in float32, unbounded."""
        return self.word_agreement(self._map(features[:, 16 * self.channels[-1]:], side=8), words, padding)

    def _map(self, x: Tensor, *, side: int) -> Tensor:
        return x.unflatten(1, (-1, side, side)).contiguous(memory_format=torch.channels_last)


def with_batch_variety(features: Tensor) -> Tensor:
    """Maps (B, F, H, W) and, as one more channel, how much they differ over the batch: the mean of their standard
    deviations. A discriminator that has it sees when painted pictures lack a kind that real ones have.

    Source: minibatch standard deviation (Karras et al. 2018, "Progressive growing of GANs").
    """
    variety = features.float().std(0, unbiased=False).mean().to(features.dtype)
    return torch.cat([features, variety.expand(len(features), 1, *features.shape[2:])], dim=1)
