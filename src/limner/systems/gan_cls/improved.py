"""The improved networks of GAN-CLS: one small residual generator, one discriminator that looks at a picture once.

What differs from the paper's networks, and why, stands in docs/systems.md with the measured gain of each change.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.agreement import Agreement
from limner.nn.blocks import with_batch_variety
from limner.nn.modulation import ModulatedDecoder
from limner.nn.whitening import Whitened
from limner.nn.wide import joint_convolution

_LARGEST_FACTOR = 8


class ModulatedGenerator(ModulatedDecoder):
    """Noise and a caption's embedding to a picture; noise and caption modulate every layer.

    Args:
        noise_size: length of the noise vector.
        text_size: length of the caption's embedding.
        condition_size: length of the vector that modulates the layers.
        width, image_size: of the decoder.
    """

    def __init__(self, *, noise_size: int, text_size: int, condition_size: int, width: int, image_size: int) -> None:
        super().__init__(input_size=noise_size + condition_size, condition_size=condition_size, width=width,
                         image_size=image_size)
        self.whitened = Whitened(text_size)
        self.text = nn.Linear(text_size, condition_size)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        """Noise (B, noise_size) and embeddings (B, text_size) to pictures (B, 3, S, S) in -1..1."""
        told = functional.leaky_relu(self.text(self.whitened(text)), 0.2)
        return self.decode(torch.cat([noise, told], dim=1))


class MatchingDiscriminator(nn.Module):
    """Scores pictures with captions, in two parts: ``look`` at a picture once, ``judge`` what was seen by any caption.

    Strided 4x4 convolutions down to a 4x4 map; then, as in the paper, the projected caption is joined to every place of
    the map, a 1x1 convolution mixes them and a 4x4 convolution gives one score. Every layer but the first and the last
    is normalised over all its channels and places (layer normalisation), each picture by itself. To the score comes the
    agreement of what was seen and what the caption means.

    ``look`` may be lent another network's feature maps of the same pictures; a 1x1 convolution adds them to its own of
    the same side (compare projected GANs, Sauer et al. 2021).
    """

    def __init__(self, *, text_size: int, condition_size: int, width: int, image_size: int,
                 lent: Sequence[int] = ()) -> None:
        """``lent``: the channels of the lent maps, of side S/4, S/8 ... 4; none for no maps."""
        super().__init__()
        halvings = int(math.log2(image_size // 4))
        channels = [3, *(width * min(2**i, _LARGEST_FACTOR) for i in range(halvings))]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in itertools.pairwise(channels)
        )
        self.normalisations = nn.ModuleList(
            nn.GroupNorm(1, width) for width in channels[2:]
        )
        self.laterals = nn.ModuleList(
            nn.Conv2d(count, own, 1, bias=False) for count, own in zip(lent, channels[2:], strict=bool(lent))
        )
        self.whitened = Whitened(text_size)
        self.text = nn.Linear(text_size, condition_size)
        self.joint = nn.Conv2d(channels[-1] + 1 + condition_size, channels[-1], 1)
        self.joint_normalisation = nn.GroupNorm(1, channels[-1])
        self.score = nn.Conv2d(channels[-1], 1, 4)
        self.agreement = Agreement(channels[-1], text_size)

    def look(self, images: Tensor, lent: Sequence[Tensor] = ()) -> Tensor:
        """Pictures (B, 3, S, S) in -1..1, and the lent maps of them, to feature maps (B, F, 4, 4)."""
        x = functional.leaky_relu(self.layers[0](images), 0.2)
        additions = [lateral(maps) for lateral, maps in zip(self.laterals, lent, strict=True)]
        for i, layer in enumerate(self.layers[1:]):
            x = layer(x)
            if additions:
                x = x + additions[i]
            x = functional.leaky_relu(self.normalisations[i](x), 0.2)
        return x

    def judge(self, features: Tensor, text: Tensor) -> Tensor:
        """Feature maps (B, F, 4, 4) and embeddings (M, text_size), for the pictures in turn, again and again, to
        scores (M,) in float32, unbounded."""
        text = self.whitened(text)
        told = functional.leaky_relu(self.text(text), 0.2)
        joint = self.joint_normalisation(joint_convolution(self.joint, with_batch_variety(features), told))
        score = self.score(functional.leaky_relu(joint, 0.2)).flatten().float()
        return score + self.agreement(features, text)
