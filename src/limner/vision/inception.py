"""The trunk of Inception-v3: from a picture to its middle map and its pooled features.

Modules carry torchvision's names, so the state dict of its published weights fits once the auxiliary head and the
classifier are left out. Source: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", in
the form of torchvision's ``inception_v3``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_Kernel = int | tuple[int, int]
_ACROSS, _DOWN = (1, 7), (7, 1)


class InceptionMaps(NamedTuple):
    """What matching models take from the trunk."""

    middle: Tensor
    """(B, 768, H, W): the output of Mixed_6e; 17x17 for pictures of 299x299."""
    pooled: Tensor
    """(B, 2048): the mean of the output of Mixed_7c."""


class ConvolutionUnit(nn.Module):
    """Convolution without bias, batch normalisation (epsilon 0.001), ReLU."""

    def __init__(self, before: int, after: int, kernel: _Kernel, *, stride: int = 1, padding: _Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H', W')."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)


def _same(before: int, after: int, kernel: _Kernel) -> ConvolutionUnit:
    """A unit that keeps height and width."""
    padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    return ConvolutionUnit(before, after, kernel, padding=padding)


def _chain(module: nn.Module, x: Tensor, *names: str) -> Tensor:
    for name in names:
        x = module.get_submodule(name)(x)
    return x


def _pool(x: Tensor) -> Tensor:
    """The mean of 3x3 neighbours; the zeros beyond the border count."""
    return functional.avg_pool2d(x, 3, stride=1, padding=1)


class InceptionA(nn.Module):
    """Mixed_5b to 5d: branches 1x1, 5x5, double 3x3 and pool."""

    def __init__(self, before: int, pool_channels: int) -> None:
        super().__init__()
        self.branch1x1 = _same(before, 64, 1)
        self.branch5x5_1 = _same(before, 48, 1)
        self.branch5x5_2 = _same(48, 64, 5)
        self.branch3x3dbl_1 = _same(before, 64, 1)
        self.branch3x3dbl_2 = _same(64, 96, 3)
        self.branch3x3dbl_3 = _same(96, 96, 3)
        self.branch_pool = _same(before, pool_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, 224 + pool_channels, H, W)."""
        return torch.cat([
            self.branch1x1(x),
            _chain(self, x, "branch5x5_1", "branch5x5_2"),
            _chain(self, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
            self.branch_pool(_pool(x)),
        ], dim=1)


class InceptionB(nn.Module):
    """Mixed_6a: halves the map."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3 = ConvolutionUnit(before, 384, 3, stride=2)
        self.branch3x3dbl_1 = _same(before, 64, 1)
        self.branch3x3dbl_2 = _same(64, 96, 3)
        self.branch3x3dbl_3 = ConvolutionUnit(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, before + 480, H // 2, W // 2)."""
        return torch.cat([
            self.branch3x3(x),
            _chain(self, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
            functional.max_pool2d(x, 3, stride=2),
        ], dim=1)


class InceptionC(nn.Module):
    """Mixed_6b to 6e: 7x7 convolutions taken apart into rows and columns."""

    def __init__(self, before: int, inner: int) -> None:
        super().__init__()
        self.branch1x1 = _same(before, 192, 1)
        self.branch7x7_1 = _same(before, inner, 1)
        self.branch7x7_2 = _same(inner, inner, _ACROSS)
        self.branch7x7_3 = _same(inner, 192, _DOWN)
        self.branch7x7dbl_1 = _same(before, inner, 1)
        self.branch7x7dbl_2 = _same(inner, inner, _DOWN)
        self.branch7x7dbl_3 = _same(inner, inner, _ACROSS)
        self.branch7x7dbl_4 = _same(inner, inner, _DOWN)
        self.branch7x7dbl_5 = _same(inner, 192, _ACROSS)
        self.branch_pool = _same(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, 768, H, W)."""
        return torch.cat([
            self.branch1x1(x),
            _chain(self, x, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
            _chain(self, x, *(f"branch7x7dbl_{i}" for i in range(1, 6))),
            self.branch_pool(_pool(x)),
        ], dim=1)


class InceptionD(nn.Module):
    """Mixed_7a: halves the map."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3_1 = _same(before, 192, 1)
        self.branch3x3_2 = ConvolutionUnit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _same(before, 192, 1)
        self.branch7x7x3_2 = _same(192, 192, _ACROSS)
        self.branch7x7x3_3 = _same(192, 192, _DOWN)
        self.branch7x7x3_4 = ConvolutionUnit(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, before + 512, H // 2, W // 2)."""
        return torch.cat([
            _chain(self, x, "branch3x3_1", "branch3x3_2"),
            _chain(self, x, *(f"branch7x7x3_{i}" for i in range(1, 5))),
            functional.max_pool2d(x, 3, stride=2),
        ], dim=1)


class InceptionE(nn.Module):
    """Mixed_7b and 7c: 3x3 convolutions spread into a row and a column side by side."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch1x1 = _same(before, 320, 1)
        self.branch3x3_1 = _same(before, 384, 1)
        self.branch3x3_2a = _same(384, 384, (1, 3))
        self.branch3x3_2b = _same(384, 384, (3, 1))
        self.branch3x3dbl_1 = _same(before, 448, 1)
        self.branch3x3dbl_2 = _same(448, 384, 3)
        self.branch3x3dbl_3a = _same(384, 384, (1, 3))
        self.branch3x3dbl_3b = _same(384, 384, (3, 1))
        self.branch_pool = _same(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, 2048, H, W)."""
        single = self.branch3x3_1(x)
        double = _chain(self, x, "branch3x3dbl_1", "branch3x3dbl_2")
        return torch.cat([
            self.branch1x1(x),
            self.branch3x3_2a(single), self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double),
            self.branch_pool(_pool(x)),
        ], dim=1)


class InceptionTrunk(nn.Module):
    """Inception-v3 without auxiliary head, dropout and classifier; 21,785,568 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvolutionUnit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvolutionUnit(32, 32, 3)
        self.Conv2d_2b_3x3 = _same(32, 64, 3)
        self.Conv2d_3b_1x1 = _same(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvolutionUnit(80, 192, 3)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)

    def forward(self, images: Tensor) -> InceptionMaps:
        """Pictures (B, 3, S, S), S at least 75 and 299 in training, in -1..1, to their maps."""
        x = _chain(self, images, "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
        x = _chain(self, functional.max_pool2d(x, 3, stride=2), "Conv2d_3b_1x1", "Conv2d_4a_3x3")
        x = _blocks(self, functional.max_pool2d(x, 3, stride=2), ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"))
        return InceptionMaps(x, _blocks(self, x, ("7a", "7b", "7c")).mean((2, 3)))


def _blocks(trunk: nn.Module, x: Tensor, names: Sequence[str]) -> Tensor:
    return _chain(trunk, x, *(f"Mixed_{name}" for name in names))
