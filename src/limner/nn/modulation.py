"""Blocks of a generator that hears a condition at every layer."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.upsampling import DoublingConvolution

_LARGEST_FACTOR = 8


def groups_of(channels: int) -> int:
    """Into how many equal groups a group normalisation splits channels: about eight channels in each."""
    return max(groups for groups in range(1, max(1, channels // 8) + 1) if channels % groups == 0)


class Modulation(nn.Module):
    """Scales and shifts every channel by numbers that a condition decides: ``x * (1 + g(c)) + b(c)``.

    Source: feature-wise linear modulation (Perez et al. 2018).
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.to_scale_and_shift = nn.Linear(condition, 2 * channels)
        nn.init.normal_(self.to_scale_and_shift.weight, std=0.1)
        nn.init.zeros_(self.to_scale_and_shift.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, channels, H, W) and (B, condition) to the shape of ``x``."""
        scale, shift = self.to_scale_and_shift(condition).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, x, 1 + scale)


class ModulatedUpBlock(nn.Module):
    """Residual block that doubles the ``side``: two modulated 3x3 convolutions, nearest-neighbour upsampling.

    Each modulation follows a group normalisation (Wu and He 2018) in groups of about eight channels: it looks at one
    picture alone, so no picture depends on the others of its batch.
    """

    def __init__(self, before: int, after: int, condition: int, *, side: int) -> None:
        super().__init__()
        self.normalisation1 = nn.GroupNorm(groups_of(before), before, affine=False)
        self.modulation1 = Modulation(before, condition)
        self.convolution1: nn.Module = DoublingConvolution(before, after, side=side)
        self.normalisation2 = nn.GroupNorm(groups_of(after), after, affine=False)
        self.modulation2 = Modulation(after, condition)
        self.convolution2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, before, H, W) and (B, condition) to (B, after, 2H, 2W)."""
        y = functional.leaky_relu(self.modulation1(self.normalisation1(x), condition), 0.2)
        y = self.convolution1(y)
        y = self.convolution2(functional.leaky_relu(self.modulation2(self.normalisation2(y), condition), 0.2))
        return functional.interpolate(self.shortcut(x), scale_factor=2) + y


class ModulatedBlock(nn.Module):
    """Residual block that keeps the side: two modulated 3x3 convolutions, normalised as in ``ModulatedUpBlock``."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.normalisation1, self.normalisation2 = (
            nn.GroupNorm(groups_of(channels), channels, affine=False) for _ in range(2))
        self.modulation1, self.modulation2 = (Modulation(channels, condition) for _ in range(2))
        self.convolution1, self.convolution2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, channels, H, W) and (B, condition) to the shape of ``x``."""
        y = self.convolution1(functional.leaky_relu(self.modulation1(self.normalisation1(x), condition), 0.2))
        return x + self.convolution2(functional.leaky_relu(self.modulation2(self.normalisation2(y), condition), 0.2))


class ModulatedDecoder(nn.Module):
    """A vector to a picture; what the vector says modulates every layer.

    Args:
        input_size: length of the vector.
        condition_size: length of what modulates the layers, a layer's view of the vector.
        width: channels at full resolution; each halving of the side doubles them, up to 8 times.
        image_size: side of the picture, a power of two.

    The last doubling is a convolution at half the side whose channels are shuffled into pixels: full resolution, where
    a channel is dearest, sees one 3x3 convolution to the three colours.
    """

    def __init__(self, *, input_size: int, condition_size: int, width: int, image_size: int) -> None:
        super().__init__()
        doublings = int(math.log2(image_size // 4))
        channels = [width * min(2**i, _LARGEST_FACTOR) for i in range(doublings, 0, -1)]
        self.start = nn.Linear(input_size, channels[0] * 16)
        self.condition = nn.Linear(input_size, condition_size)
        self.blocks = nn.ModuleList(
            ModulatedUpBlock(before, after, condition_size, side=4 << place)
            for place, (before, after) in enumerate(itertools.pairwise(channels))
        )
        self.modulation = Modulation(channels[-1], condition_size)
        self.up = nn.Conv2d(channels[-1], 4 * width, 3, padding=1)
        self.to_rgb = nn.Conv2d(width, 3, 3, padding=1)

    def decode(self, vector: Tensor) -> Tensor:
        """(B, input_size) to pictures (B, 3, S, S) in -1..1."""
        condition = functional.leaky_relu(self.condition(vector), 0.2)
        x = self.start(vector).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, condition)
        x = self.up(functional.leaky_relu(self.modulation(x, condition), 0.2))
        x = functional.pixel_shuffle(x, 2).contiguous(memory_format=torch.channels_last)
        return torch.tanh(self.to_rgb(functional.leaky_relu(x, 0.2)))
