"""A recognition network: which noise would have painted this picture?"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.conditioning import Condition, kl_divergence
from limner.nn.whitening import Whitened
from limner.nn.wide import WideConv2d

_LARGEST_FACTOR = 8
_TEXT, _HIDDEN = 128, 256
_LEAST, _MOST = -10.0, 4.0


class Recognition(nn.Module):
    """A picture and its caption to a Gaussian of the noise that a generator would paint it from.

    With it a generator learns from single pictures what a discriminator alone tells it late or never: it restores them
    from their captions and this noise, which is held near the standard normal, so that what the caption says need not
    be in it. Strided 4x4 convolutions down to a 4x4 map, layer normalisation after each; two linear layers.

    Args:
        image_size: side of the pictures, a power of two from 8 up.
        width: channels at half resolution; each halving doubles them, up to 8 times.
        text_size: length T of captions' embeddings, which are whitened (``nn.whitening.fit_whitening``).
        noise_size: length Z of the noise.

    Source: the conditional variational autoencoder that is a GAN too, of Zhu et al. 2017, "Toward multimodal
    image-to-image translation".
    """

    def __init__(self, *, image_size: int, width: int, text_size: int, noise_size: int) -> None:
        super().__init__()
        halvings = int(math.log2(image_size // 4))
        channels = [3, *(width * min(2**i, _LARGEST_FACTOR) for i in range(halvings))]
        self.layers = nn.ModuleList(
            WideConv2d(before, after, 4, stride=2, padding=1) for before, after in itertools.pairwise(channels)
        )
        self.normalisations = nn.ModuleList(nn.GroupNorm(1, count) for count in channels[1:])
        self.whitened = Whitened(text_size)
        self.text = nn.Linear(text_size, _TEXT)
        self.hidden = nn.Linear(channels[-1] * 16 + _TEXT, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 2 * noise_size)
        with torch.no_grad():  # begins near the standard normal
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    def forward(self, images: Tensor, text: Tensor, noise: Tensor) -> Condition:
        """Pictures (B, 3, S, S) in -1..1, embeddings (B, T) and standard normal noise (B, Z) to the noise that would
        have painted the pictures."""
        x = images
        for layer, normalisation in zip(self.layers, self.normalisations, strict=True):
            x = functional.leaky_relu(normalisation(layer(x)), 0.2)
        told = functional.leaky_relu(self.text(self.whitened(text)), 0.2)
        x = functional.leaky_relu(self.hidden(torch.cat([x.flatten(1), told.to(x.dtype)], 1)), 0.2)
        mean, log_variance = self.out(x).float().chunk(2, dim=1)
        log_variance = log_variance.clamp(_LEAST, _MOST)
        return Condition(mean + (log_variance / 2).exp() * noise, mean, log_variance)


def nats(recognised: Condition) -> Tensor:
    """What recognised noise says beyond the standard normal: the KL divergence, a sum over components, a mean over
    rows."""
    return kl_divergence(recognised.mean, recognised.log_variance) * recognised.mean.shape[1]
