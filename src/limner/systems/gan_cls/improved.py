"""The improved generator of GAN-CLS, small and residual; its discriminator is ``nn.matching_discriminator``.

What differs from the paper's networks, and why, stands in docs/systems.md with the measured gain of each change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.modulation import ModulatedDecoder
from limner.nn.whitening import Whitened


class ModulatedGenerator(ModulatedDecoder):
    """Noise and a caption's embedding to a picture; noise and caption modulate every layer.

    Args:
        noise_size: length of the noise vector.
        text_size: length of the caption's embedding.
        condition_size: length of the vector that modulates the layers.
        width, image_size: of the decoder.
    """

    def __init__(self, *, noise_size: int, text_size: int, condition_size: int, width: int, image_size: int) -> None:
        super().__init__(input_size=noise_size + condition_size, condition_size=condition_size, width=width,
                         image_size=image_size)
        self.whitened = Whitened(text_size)
        self.text = nn.Linear(text_size, condition_size)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        """Noise (B, noise_size) and embeddings (B, text_size) to pictures (B, 3, S, S) in -1..1."""
        told = functional.leaky_relu(self.text(self.whitened(text)), 0.2)
        return self.decode(torch.cat([noise, told], dim=1))
