"""Doubling the side of a map: nearest neighbours and a 3x3 convolution in one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALL_SIDE = 4

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


class SmallDoubling(nn.Module):
    """``doubled`` with fixed weights for small maps, as four matrix products, one for each pixel of a doubled place.

    On a 4x4 map nearly all time of a convolution goes into bringing its many weights into the order it wants, call by
    call. These are in their order already.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """``weight``: (out, in, 3, 3), of the convolution that follows the doubling. ``bias``: (out,)."""
        super().__init__()
        kernel = doubling_kernel(weight)  # (in, out, 4, 4): rows 3, 1 touch a pixel of phase 0, rows 2, 0 of phase 1
        rows = torch.tensor([[3, 1], [2, 0]])
        phases = [kernel[:, :, down][:, :, :, right] for down in rows for right in rows]  # each (in, out, 2, 2)
        self.register_buffer("weight", torch.stack([phase.permute(2, 3, 0, 1).flatten(0, 2) for phase in phases]))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, 2H, 2W), channels-last."""
        rows, _, height, width = x.shape
        places = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        near = torch.stack([  # what each of the four pixels sees: (4, B, H, W, 2 * 2 * in)
            torch.cat([places[:, down + i:down + i + height, right + j:right + j + width]
                       for i in range(2) for j in range(2)], dim=3)
            for down in range(2) for right in range(2)])
        pixels = torch.bmm(near.flatten(1, 3), self.weight)
        if self.bias is not None:
            pixels = pixels + self.bias
        pixels = pixels.unflatten(1, (rows, height, width)).unflatten(0, (2, 2))  # (2, 2, B, H, W, out)
        return pixels.permute(2, 3, 0, 4, 1, 5).reshape(rows, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def doubling_for_painting(layer: nn.Module, *, side: int) -> nn.Module:
    """Nearest doubling of maps of ``side`` and then the 3x3 convolution ``layer``, frozen, in its fastest form."""
    assert isinstance(layer, nn.Conv2d)
    if side <= _SMALL_SIDE:
        return SmallDoubling(layer.weight.detach(), layer.bias)
    whole = nn.ConvTranspose2d(layer.in_channels, layer.out_channels, 4, stride=2, padding=1, device="meta")
    whole.weight, whole.bias = nn.Parameter(doubling_kernel(layer.weight)), layer.bias
    return whole.requires_grad_(False)
