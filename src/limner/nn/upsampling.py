"""Doubling the side of a map: nearest neighbours and a 3x3 convolution in one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Row p of the doubled map adds these rows of the 3x3 kernel for every row of the map that it touches.
_SPREAD = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def doubling_kernel(weight: Tensor) -> Tensor:
    """The kernel of the transposed convolution (stride 2, padding 1) that equals nearest doubling followed by a 3x3
    convolution: (out, in, 3, 3) to (in, out, 4, 4)."""
    spread = torch.kron(_SPREAD, _SPREAD).to(weight)
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
