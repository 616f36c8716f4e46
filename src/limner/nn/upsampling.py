"""Doubling the side of a map: nearest neighbours and a 3x3 convolution in one."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALL_SIDE, _SMALLEST_SIDE = 8, 4
_SUMS = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])

# Row p of the doubled map adds these rows of the 3x3 kernel for every row of the map that it touches.
_SPREAD = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def doubling_kernel(weight: Tensor) -> Tensor:
    """The kernel of the transposed convolution (stride 2, padding 1) that equals nearest doubling followed by a 3x3
    convolution: (out, in, 3, 3) to (in, out, 4, 4)."""
    spread = _both_ways(weight.device, weight.dtype)
    with torch.autocast(weight.device.type, enabled=False):
        kernel = weight.flatten(2) @ spread.T
    kernel = kernel.unflatten(2, (4, 4)).transpose(0, 1)
    return kernel.contiguous(memory_format=torch.channels_last)


def doubled(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Nearest doubling, then a 3x3 convolution with padding 1: (B, in, H, W) to (B, out, 2H, 2W).

    Each pixel of the small map meets a 4x4 kernel instead of four times a 3x3 one: 16 products for 36, and the large
    copy of the map is never written. Equal to the two steps but for rounding.

    Args:
        weight: (out, in, 3, 3), of the convolution that follows the doubling. ``bias``: (out,).
    """
    return functional.conv_transpose2d(x, doubling_kernel(weight), bias, stride=2, padding=1)


class DoublingConvolution(nn.Conv2d):
    """Nearest doubling, then a 3x3 convolution; ``side`` is that of the map before.

    Computed as ``doubled``, except on the smallest map, where few places meet many weights.
    """

    def __init__(self, before: int, after: int, *, side: int, bias: bool = True) -> None:
        super().__init__(before, after, 3, padding=1, bias=bias)
        self.side = side

    def forward(self, input: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, 2H, 2W)."""
        if self.side > _SMALLEST_SIDE:
            return doubled(input, self.weight, self.bias)
        return super().forward(functional.interpolate(input, scale_factor=2))


@cache
def _both_ways(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Kept where it is needed: a step that is being recorded for a GPU can bring nothing there."""
    with torch.inference_mode(False):  # a training step may come after a painting that asked first
        return torch.kron(_SPREAD, _SPREAD).to(device, dtype)


class SmallDoubling(nn.Module):
    """``doubled`` with fixed weights for small maps, as nine matrix products over the channels.

    Along an axis, the two pixels of a place x with neighbours l and r are k0 l + (k1 + k2) x and (k0 + k1) x + k2 r:
    the sums of m0 = k0 (l - x), m1 = (k0 + k1 + k2) x and m2 = k2 (r - x), three products for two pixels, nine for
    four over both axes, where the transposed convolution has sixteen. And on a small map most time of a convolution
    goes into bringing its many weights into the order it wants, call by call; these are in their order already.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """``weight``: (out, in, 3, 3), of the convolution that follows the doubling. ``bias``: (out,)."""
        super().__init__()
        sums = _SUMS.to(weight)
        products = torch.einsum("ai,bj,ocij->baco", sums, sums, weight).flatten(0, 1)  # columns first
        self.register_buffer("weight", products.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, 2H, 2W), channels-last."""
        rows, _, height, width = x.shape
        places = _with_differences(_with_differences(x.permute(0, 2, 3, 1), axis=1), axis=3)  # (3, 3, B, H, W, in)
        products = torch.bmm(places.flatten(0, 1).flatten(1, 3), self.weight).unflatten(0, (3, 3))
        pixels = products[:2] + products[1:]
        pixels = pixels[:, :2] + pixels[:, 1:]
        if self.bias is not None:
            pixels = pixels + self.bias
        pixels = pixels.unflatten(2, (rows, height, width))  # (2, 2, B, H, W, out): columns first
        return pixels.permute(2, 3, 1, 4, 0, 5).reshape(rows, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def _with_differences(x: Tensor, *, axis: int) -> Tensor:
    """The neighbour before along an axis minus x, x, the neighbour behind minus x; beyond the edge is 0."""
    edge = torch.zeros_like(x.narrow(axis, 0, 1))
    framed = torch.cat([edge, x, edge], axis)
    count = x.shape[axis]
    return torch.stack([framed.narrow(axis, 0, count) - x, x, framed.narrow(axis, 2, count) - x])


def doubling_for_painting(layer: DoublingConvolution) -> nn.Module:
    """The same layer, frozen, in its fastest form."""
    if layer.side <= _SMALL_SIDE:
        return SmallDoubling(layer.weight.detach(), layer.bias)
    whole = nn.ConvTranspose2d(layer.in_channels, layer.out_channels, 4, stride=2, padding=1, device="meta")
    whole.weight, whole.bias = nn.Parameter(doubling_kernel(layer.weight)), layer.bias
    return whole.requires_grad_(False)
