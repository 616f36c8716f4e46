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
        size, stride, margin = self.kernel_size[0], self.stride[0], int(self.padding[0])
        height, width = ((side + 2 * margin - size) // stride + 1 for side in input.shape[2:])
        places = len(input) * height * width
        if input.device.type != "cpu" or size * size * self.in_channels < _WEIGHTS_PER_PLACE * places:
            return super().forward(input)
        padded = functional.pad(input.permute(0, 2, 3, 1), (0, 0, margin, margin, margin, margin))
        seen = torch.stack([padded[:, y:y + stride * height:stride, x:x + stride * width:stride]
                            for y in range(size) for x in range(size)], 3)
        # a view where the weights lie channels last
        weight = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1)
        out = functional.linear(seen.reshape(places, -1), weight, self.bias)
        return out.view(len(input), height, width, -1).permute(0, 3, 1, 2)
