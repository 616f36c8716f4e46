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

from limner.nn.modulation import ModulatedUpBlock, Modulation
from limner.nn.whitening import Whitened

_LARGEST_FACTOR = 8
_PROJECTION = 128


class ModulatedGenerator(nn.Module):
    """Noise and a caption's embedding to a picture; noise and caption modulate every layer.

    Args:
        noise_size: length of the noise vector.
        text_size: length of the caption's embedding.
        condition_size: length of the vector that modulates the layers.
        width: channels at full resolution; each halving of the side doubles them, up to 8 times.
        image_size: side of the picture, a power of two.

    The last doubling is a convolution at half the side whose channels are shuffled into pixels: full resolution, where
    a channel is dearest, sees one 3x3 convolution to the three colours.
    """

    def __init__(self, *, noise_size: int, text_size: int, condition_size: int, width: int, image_size: int) -> None:
        super().__init__()
        doublings = int(math.log2(image_size // 4))
        channels = [width * min(2**i, _LARGEST_FACTOR) for i in range(doublings, 0, -1)]
        self.whitened = Whitened(text_size)
        self.text = nn.Linear(text_size, condition_size)
        self.start = nn.Linear(noise_size + condition_size, channels[0] * 16)
        self.condition = nn.Linear(noise_size + condition_size, condition_size)
        self.blocks = nn.ModuleList(
            ModulatedUpBlock(before, after, condition_size) for before, after in itertools.pairwise(channels)
        )
        self.modulation = Modulation(channels[-1], condition_size)
        self.up = nn.Conv2d(channels[-1], 4 * width, 3, padding=1)
        self.to_rgb = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        """Noise (B, noise_size) and embeddings (B, text_size) to pictures (B, 3, S, S) in -1..1."""
        joint = torch.cat([noise, functional.leaky_relu(self.text(self.whitened(text)), 0.2)], dim=1)
        condition = functional.leaky_relu(self.condition(joint), 0.2)
        x = self.start(joint).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, condition)
        x = self.up(functional.leaky_relu(self.modulation(x, condition), 0.2))
        x = functional.pixel_shuffle(x, 2).contiguous(memory_format=torch.channels_last)
        return torch.tanh(self.to_rgb(functional.leaky_relu(x, 0.2)))


class MatchingDiscriminator(nn.Module):
    """Scores pictures with captions, in two parts: ``look`` at a picture once, ``judge`` what was seen by any caption.

    Strided 4x4 convolutions down to a 4x4 map; then, as in the paper, the projected caption is joined to every place of
    the map, a 1x1 convolution mixes them and a 4x4 convolution gives one score. Every layer but the first and the last
    is normalised over all its channels and places (layer normalisation), each picture by itself. To the score comes a
    dot product of what was seen and what the caption means (projection discriminator, Miyato and Koyama 2018).

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
        self.seen = nn.Linear(channels[-1] * (16 + 1), _PROJECTION)
        self.meant = nn.Linear(text_size, _PROJECTION)

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
        """Feature maps (B, F, 4, 4) and embeddings (B, text_size) to scores (B,) in float32, unbounded."""
        text = self.whitened(text)
        told = functional.leaky_relu(self.text(text), 0.2).to(features.dtype)
        told = told[:, :, None, None].expand(-1, -1, *features.shape[2:])
        variety = features.float().std(0, unbiased=False).mean().to(features.dtype)
        variety = variety.expand(len(features), 1, *features.shape[2:])
        joint = self.joint_normalisation(self.joint(torch.cat([features, variety, told], dim=1)))
        score = self.score(functional.leaky_relu(joint, 0.2)).flatten().float()
        # with the largest value in each channel: what is learnt of a thing in one place helps to know it in another
        seen = self.seen(torch.cat([features.flatten(1), features.amax((2, 3))], dim=1))
        agreement = (seen * self.meant(text)).float().sum(1)
        return score + agreement / math.sqrt(_PROJECTION)
