"""The networks that sharpen a finished drawing, after LAPGAN's residual generator.

Source: Mansimov et al. 2016, section 3.4, and the authors' sharpening script; Denton et al. 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.systems.aligndraw.networks import Words


class Sharpener(nn.Module):
    """Paints the edges that a blurry picture lacks: three convolutions over noise, sentence and picture."""

    def __init__(self, *, side: int, sentence: int, widths: tuple[int, int]) -> None:
        super().__init__()
        self.side = side
        self.sent2img = nn.Linear(sentence, side * side)
        self.conv0 = nn.Conv2d(5, widths[0], 7, padding=3)
        self.conv1 = nn.Conv2d(*widths, 7, padding=3)
        self.conv2 = nn.Conv2d(widths[1], 3, 5, padding=2)

    def forward(self, blurry: Tensor, sentence: Tensor, noise: Tensor) -> Tensor:
        """Pictures (B, 3, H, H) in 0..1, sentences (B, D), noise (B, 1, H, H) to edges (B, 3, H, H), to be added."""
        plane = self.sent2img(sentence).relu().view(-1, 1, self.side, self.side)
        hidden = self.conv0(torch.cat([noise, plane, blurry], 1)).relu()
        return self.conv2(self.conv1(hidden).relu())

    def sharpen(self, blurry: Tensor, sentence: Tensor) -> Tensor:
        """Pictures (B, 3, H, H) in 0..1 to sharper ones; the noise is held at its mean 0, as the authors do."""
        return (blurry + self(blurry, sentence, torch.zeros_like(blurry[:, :1]))).clamp(0, 1)


class SharpnessJudge(nn.Module):
    """The discriminator of the sharpening stage: is this the sharp form of that blurry picture?

    Ours; the authors published none.
    """

    def __init__(self, *, side: int, sentence: int, width: int) -> None:
        super().__init__()
        self.side = side
        self.sent2img = nn.Linear(sentence, side * side)
        self.conv0 = nn.Conv2d(7, width, 5, stride=2, padding=2)
        self.conv1 = nn.Conv2d(width, 2 * width, 5, stride=2, padding=2)
        self.verdict = nn.Linear(2 * width, 1)

    def forward(self, picture: Tensor, blurry: Tensor, sentence: Tensor) -> Tensor:
        """Pictures (B, 3, H, H) and what they were made from to logits (B,)."""
        plane = self.sent2img(sentence).relu().view(-1, 1, self.side, self.side)
        hidden = functional.leaky_relu(self.conv0(torch.cat([picture, blurry, plane], 1)), 0.2)
        hidden = functional.leaky_relu(self.conv1(hidden), 0.2)
        return self.verdict(hidden.mean((2, 3)))[:, 0]


def sentence_of(words: Words) -> Tensor:
    """A caption as one vector (B, 2L): the mean state of its words. The authors use skip-thought vectors."""
    return words.states.sum(1) / words.mask.sum(1, keepdim=True)
