"""Building blocks that several generators and discriminators share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """Residual bottleneck: ``x + f(x)`` with f = 1x1, 3x3, 3x3 convolutions, each followed by batch normalisation.

    The activation follows the first two normalisations only; the caller applies whatever follows the sum, because a
    chain of two bottlenecks has no activation between them.

    Args:
        channels: channels of the input and of the output.
        inner: channels of the two inner convolutions.
        activation: function applied after the first and the second normalisation.
        bias: biases in the convolutions; they change nothing in training, where the normalisation takes them out.

    Source: the residual blocks of the official GAN-CLS code (Reed et al. 2016), also used by StackGAN Stage I.
    """

    def __init__(self, channels: int, inner: int, *, activation: Callable[[Tensor], Tensor], bias: bool = True
                 ) -> None:
        super().__init__()
        self.activation = activation
        self.c1 = nn.Conv2d(channels, inner, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(inner)
        self.c2 = nn.Conv2d(inner, inner, 3, padding=1, bias=bias)
        self.bn2 = nn.BatchNorm2d(inner)
        self.c3 = nn.Conv2d(inner, channels, 3, padding=1, bias=bias)
        self.bn3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        y = self.activation(self.bn1(self.c1(x)))
        y = self.activation(self.bn2(self.c2(y)))
        return x + self.bn3(self.c3(y))


def places_and_largest(maps: Tensor) -> Tensor:
    """Maps (B, C, H, W) to all their places, and the largest value in each channel: (B, C * H * W + C).

    What reads both knows where things are, and what it learns of a thing in one place helps to know it in another.
    """
    return torch.cat([maps.flatten(1), maps.amax((2, 3))], dim=1)
