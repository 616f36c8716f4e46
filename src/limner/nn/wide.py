"""Convolutions with very many weights and few places, as matrix products.

Deep in a discriminator a map has 4x4 places and a layer millions of weights. Libraries order such weights anew for
every call, forward and backward, which costs more than the arithmetic.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_WEIGHTS_PER_PLACE = 8
"""A matrix product is taken where every output channel has so many weights for each place of the batch: there it was
two to four times as fast in bf16, 1.3 to 3 times in float32; at half of that no faster (docs/lab.md, 2026-11-26)."""


class WideConv2d(nn.Conv2d):
    """``nn.Conv2d`` (square kernel, stride and padding; no groups or dilation) with the same weights and results up to
    rounding, as one matrix product where the layer has many weights for the places of the batch."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H', W')."""
        return wide_convolution(input, self.weight, self.bias, stride=self.stride[0], padding=int(self.padding[0]))


def wide_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0
                     ) -> Tensor:
    """What ``WideConv2d`` computes, of weights (D, C, K, K): (B, C, H, W) to (B, D, H', W')."""
    size = weight.shape[2]
    height, width = ((side + 2 * padding - size) // stride + 1 for side in x.shape[2:])
    places = len(x) * height * width
    if x.device.type != "cpu" or size * size * weight.shape[1] < _WEIGHTS_PER_PLACE * places:
        return functional.conv2d(x, weight, bias, stride, padding)
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    seen = torch.stack([padded[:, row:row + stride * height:stride, column:column + stride * width:stride]
                        for row in range(size) for column in range(size)], 3)
    # a view where the weights lie channels last
    out = functional.linear(seen.reshape(places, -1), weight.permute(0, 2, 3, 1).reshape(len(weight), -1), bias)
    return out.view(len(x), height, width, -1).permute(0, 3, 1, 2)


def joint_convolution(convolution: nn.Conv2d, maps: Tensor, vectors: Tensor) -> Tensor:
    """A convolution of maps to which a vector is joined at every place, as discriminators join a caption to a picture.

    Where maps meet several vectors each, maps and vectors are multiplied apart: every map is convolved once, and
    vectors, alike at every place, not place by place. Equal to the usual way but for rounding. With one vector a map
    that would be slower, so there they are joined.

    Args:
        convolution: of F + V channels, the maps' first, to D; stride 1 and a padding that keeps the side.
        maps: (B, F, H, W).
        vectors: (M, V), M a multiple of B, for the maps in turn, again and again.

    Returns:
        (M, D, H, W).
    """
    size, padding = convolution.kernel_size[0], int(convolution.padding[0])
    if len(vectors) == len(maps):
        tiled = vectors.to(maps.dtype)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        return wide_convolution(torch.cat([maps, tiled], dim=1), convolution.weight, convolution.bias, padding=padding)
    of_maps, of_vectors = convolution.weight.split([maps.shape[1], vectors.shape[1]], dim=1)
    seen = wide_convolution(maps, of_maps, convolution.bias, padding=padding)
    height, width = (_taps(side, size, padding, maps.device).to(of_vectors) for side in maps.shape[2:])
    told = torch.einsum("dvij,yi,xj->vyxd", of_vectors, height, width)
    told = (vectors @ told.flatten(1)).unflatten(1, told.shape[1:]).permute(0, 3, 1, 2)
    return seen.repeat(len(vectors) // len(maps), 1, 1, 1) + told.to(seen.dtype)


def _taps(side: int, size: int, padding: int, device: torch.device) -> Tensor:
    """bool (side, size): whether a tap of the kernel, laid on a place, meets the map."""
    reached = torch.arange(side, device=device)[:, None] + torch.arange(size, device=device) - padding
    return (reached >= 0) & (reached < side)
