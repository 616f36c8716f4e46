"""A prior over complete captions: what a short caption leaves open is drawn by lot before anything is painted.

A painter that was told "a person in a red hoodie" has seen that caption over a thousand different faces and paints
something between them. The prior learns, from pictures with several captions, how the embedding of the fullest of them
is distributed given that of any of them; a painter then paints from one that it draws. Compare the prior of unCLIP
(Ramesh et al. 2022, "Hierarchical text-conditional image generation with CLIP latents"), which draws the embedding of a
picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.matching.config import PriorConfig
from limner.nn.whitening import Whitened
from limner.training.stage import Components, loaded

_FREQUENCIES = 32


class _Block(nn.Module):
    """A residual pair of layers whose normalised input is scaled and shifted by what is told."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)
        self.before, self.after = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.after.weight)
        nn.init.zeros_(self.after.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """(B, W) and (B, W) to (B, W)."""
        scale, shift = self.modulation(told).chunk(2, 1)
        y = functional.layer_norm(x, x.shape[1:]) * (1 + scale) + shift
        return x + self.after(functional.silu(self.before(y)))


class CaptionPrior(nn.Module):
    """The velocity that carries noise to whitened embeddings of complete captions, in time 0 to 1 (flow matching:
    Lipman et al. 2023).

    Args:
        size: length D of an embedding.
        width: of the hidden layers.
        blocks: residual blocks.

    Draws first weights from torch's global generator: build it within ``seeded_initialisation``.
    """

    frequencies: Tensor

    def __init__(self, *, size: int, width: int, blocks: int) -> None:
        super().__init__()
        self.whitened = Whitened(size)
        self.nothing = nn.Parameter(torch.zeros(size))
        self.told = nn.Linear(size + 2 * _FREQUENCIES, width)
        self.enter = nn.Linear(size, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.leave = nn.Linear(width, size)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.register_buffer("frequencies", torch.logspace(0, 3, _FREQUENCIES), persistent=False)

    def forward(self, x: Tensor, time: Tensor, caption: Tensor) -> Tensor:
        """Points (B, D) at times (B, 1), whitened embeddings of captions (B, D), or rows of ``nothing``, to velocities
        (B, D)."""
        angles = time * self.frequencies
        told = functional.silu(self.told(torch.cat([caption, angles.sin(), angles.cos()], 1)))
        x = self.enter(x)
        for block in self.blocks:
            x = block(x, told)
        return self.leave(x)

    def complete(self, text: Tensor, noise: Tensor, *, steps: int, guidance: float, threshold: float = 0.0) -> Tensor:
        """Embeddings of captions (B, D) and standard normal noise (B, D) to embeddings of complete captions (B, D).

        Args:
            steps: of equal length, by Euler's method.
            guidance: weight of what the caption makes of the velocity, against that of no caption; 1 for none
                (classifier-free guidance: Ho and Salimans 2022).
            threshold: captions stay as they are where the result is nearer than this (mean squared distance, whitened).
        """
        told, nothing = self.whitened(text), self.nothing.expand(len(text), -1)
        both, x = torch.cat([told, nothing]), noise
        for step in range(steps):
            time = torch.full((2 * len(x), 1), step / steps, dtype=x.dtype, device=x.device)
            with_it, without = self(torch.cat([x, x]), time, both).chunk(2)
            x = x + torch.lerp(without, with_it, guidance) / steps
        open_enough = (x - told).square().mean(1, keepdim=True) >= threshold
        return torch.where(open_enough, self.whitened.undone(x), text)


def build_prior(config: PriorConfig, size: int) -> CaptionPrior:
    """For embeddings of length ``size``, with torch's first weights."""
    return CaptionPrior(size=size, width=config.width, blocks=config.blocks)


def load_prior(config: PriorConfig, size: int, components: Components) -> CaptionPrior:
    """Ready to complete captions."""
    return loaded(build_prior(config, size), components.weights["prior"])
