"""Blocks of a generator that hears a condition at every layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


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
    """Residual block that doubles the side: two modulated 3x3 convolutions, nearest-neighbour upsampling.

    Each modulation follows a group normalisation (Wu and He 2018) in groups of about eight channels: it looks at one
    picture alone, so no picture depends on the others of its batch.
    """

    def __init__(self, before: int, after: int, condition: int) -> None:
        super().__init__()
        self.normalisation1 = nn.GroupNorm(groups_of(before), before, affine=False)
        self.modulation1 = Modulation(before, condition)
        self.convolution1 = nn.Conv2d(before, after, 3, padding=1)
        self.normalisation2 = nn.GroupNorm(groups_of(after), after, affine=False)
        self.modulation2 = Modulation(after, condition)
        self.convolution2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, before, H, W) and (B, condition) to (B, after, 2H, 2W)."""
        y = functional.leaky_relu(self.modulation1(self.normalisation1(x), condition), 0.2)
        y = self.convolution1(functional.interpolate(y, scale_factor=2))
        y = self.convolution2(functional.leaky_relu(self.modulation2(self.normalisation2(y), condition), 0.2))
        return functional.interpolate(self.shortcut(x), scale_factor=2) + y
