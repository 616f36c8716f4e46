"""3x3 convolutions with fixed weights by Winograd's minimal filtering: four products in place of nine."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_WORTH_IT = 256
"""Input channels from which on this replaces a direct convolution: on a CPU it was twice as fast with 512 and no faster
with 64, where bringing the numbers into order costs what the products save (docs/lab.md)."""

_INPUT = torch.tensor([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], dtype=torch.float64)
_KERNEL = torch.tensor([[2.0, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], dtype=torch.float64) / 2
_OUTPUT = torch.tensor([[1.0, 1, 1, 0], [0, 1, -1, -1]], dtype=torch.float64)


class WinogradConvolution(nn.Module):
    """A 3x3 convolution with stride 1 and padding 1 over maps of even sides: the form F(2x2, 3x3).

    The map is cut into tiles of 4x4 that overlap by two; a linear map of each tile, 16 matrix products over the
    channels, and a linear map back give 2x2 places of the result. Equal to the direct form but for rounding. The
    larger F(4x4, 3x3) saves more products, but reads four times as many weights as there are: one picture waits for
    them.

    Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.1.
    """

    weight: Tensor
    bias: Tensor | None
    of_input: Tensor
    of_output: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """``weight``: (out, in, 3, 3). ``bias``: (out,)."""
        super().__init__()
        transformed = torch.einsum("ai,bj,ocij->abco", _KERNEL, _KERNEL, weight.double()).flatten(0, 1)
        self.register_buffer("weight", transformed.to(weight.dtype).contiguous())
        self.register_buffer("bias", bias)
        self.register_buffer("of_input", torch.kron(_INPUT, _INPUT).to(weight.dtype))
        self.register_buffer("of_output", torch.kron(_OUTPUT, _OUTPUT).to(weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W), channels-last."""
        rows, channels, height, width = x.shape
        places = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        tiles = places.unfold(1, 4, 2).unfold(2, 4, 2).permute(4, 5, 0, 1, 2, 3).reshape(16, -1)
        products = torch.bmm((self.of_input @ tiles).unflatten(1, (-1, channels)), self.weight)
        result = (self.of_output @ products.flatten(1)).view(2, 2, rows, height // 2, width // 2, -1)
        result = result.permute(2, 3, 0, 4, 1, 5).reshape(rows, height, width, -1)
        if self.bias is not None:
            result = result + self.bias
        return result.permute(0, 3, 1, 2)


def use_winograd(network: nn.Module) -> None:
    """Puts ``WinogradConvolution`` in the place of every frozen convolution that gains by it, in place.

    For networks on a CPU whose maps have even sides wherever a 3x3 convolution reads at least 256 channels.
    """
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if (type(layer) is nn.Conv2d and layer.kernel_size == (3, 3) and layer.stride == (1, 1)
                    and layer.padding == (1, 1) and layer.in_channels >= _WORTH_IT):
                setattr(module, name, WinogradConvolution(layer.weight.detach(), layer.bias))
