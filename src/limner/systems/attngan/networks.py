"""The networks of AttnGAN: a generator that grows a picture in up to three sizes, and a discriminator for each.

Source: Xu et al., "AttnGAN: Fine-Grained Text to Image Generation with Attentional Generative Adversarial Networks",
CVPR 2018, section 3.1, and the released code, whose weights fit (``limner.interop.attngan`` knows the names).
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from limner.nn.conditioning import Condition, ConditioningAugmentation
from limner.nn.gating import gated
from limner.nn.modulation import ModulatedBlock, ModulatedUpBlock
from limner.nn.upsampling import DoublingConvolution
from limner.nn.wide import WideConv2d, joint_convolution
from limner.systems.attngan.attention import WordAttention, WordLookup

FIRST_SIDE = 4
_MODULATING = 128
"""Length of what modulates the layers of our generator, a layer's view of condition and noise."""


class Normalised(nn.Module):
    """A convolution without bias and its batch normalisation."""

    def __init__(self, before: int, after: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H', W')."""
        return self.norm(self.convolution(x))


class DoubledNormalised(Normalised):
    """The same after the map, of ``side``, has been doubled by nearest neighbours."""

    def __init__(self, before: int, after: int, *, side: int) -> None:
        super().__init__(before, after)
        self.convolution = DoublingConvolution(before, after, side=side, bias=False)


class UpBlock(nn.Module):
    """Doubles the ``side``: nearest neighbours, convolution, gated linear unit."""

    def __init__(self, before: int, after: int, *, side: int) -> None:
        super().__init__()
        self.layer = DoubledNormalised(before, 2 * after, side=side)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, 2H, 2W)."""
        return gated(self.layer(x))


class ResidualBlock(nn.Module):
    """Adds what two convolutions find; no activation follows the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gated = Normalised(channels, 2 * channels)
        self.plain = Normalised(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        return x + self.plain(gated(self.gated(x)))


class FirstStage(nn.Module):
    """Condition and noise, in that order, to the first map."""

    def __init__(self, inputs: int, *, width: int, side: int) -> None:
        super().__init__()
        doublings = int(math.log2(side / FIRST_SIDE))
        channels = [width << (doublings - i) for i in range(doublings + 1)]
        outputs = 2 * channels[0] * FIRST_SIDE**2
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.ups = nn.Sequential(*(UpBlock(before, after, side=FIRST_SIDE << place)
                                   for place, (before, after) in enumerate(itertools.pairwise(channels))))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) to (B, width, side, side)."""
        x = gated(self.norm(self.linear(x))).unflatten(1, (-1, FIRST_SIDE, FIRST_SIDE))
        return self.ups(x.contiguous(memory_format=torch.channels_last))


class ModulatedFirstStage(nn.Module):
    """``FirstStage`` as we paint it: condition and noise also modulate every block, and with ``heads`` the words are
    looked up after every one but the last."""

    def __init__(self, inputs: int, *, width: int, side: int, word_size: int, modulating: int, heads: int) -> None:
        super().__init__()
        doublings = int(math.log2(side / FIRST_SIDE))
        channels = [width << (doublings - i) for i in range(doublings + 1)]
        self.linear = nn.Linear(inputs, channels[0] * FIRST_SIDE**2)
        self.ups = nn.ModuleList(ModulatedUpBlock(before, after, modulating, side=FIRST_SIDE << place)
                                 for place, (before, after) in enumerate(itertools.pairwise(channels)))
        self.lookups = nn.ModuleList(
            WordLookup(count, word_size, side=2 * FIRST_SIDE << place, heads=heads)
            for place, count in enumerate(channels[1:-1])) if heads else nn.ModuleList()

    def forward(self, x: Tensor, modulating: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None) -> Tensor:
        """(B, inputs) and (B, modulating), and the words, to (B, width, side, side)."""
        x = self.linear(x).unflatten(1, (-1, FIRST_SIDE, FIRST_SIDE)).contiguous(memory_format=torch.channels_last)
        for up, lookup in itertools.zip_longest(self.ups, self.lookups):
            x = up(x, modulating)
            if lookup is not None:
                x = x + lookup(x, words, padding, favour)[0]
        return x


class RefiningStage(nn.Module):
    """A map of ``side`` and the words to a map of twice that."""

    def __init__(self, *, width: int, side: int, word_size: int, residual_blocks: int) -> None:
        super().__init__()
        self.attention = WordAttention(width, word_size)
        self.residuals = nn.Sequential(*(ResidualBlock(2 * width) for _ in range(residual_blocks)))
        self.up = UpBlock(2 * width, width, side=side)

    def forward(self, x: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None, *, official_mask: bool
                ) -> tuple[Tensor, Tensor]:
        """(B, width, H, W) to (B, width, 2H, 2W), and the shares (B, T, H, W) of the words."""
        contexts, shares = self.attention(x, words, padding, favour, official_mask=official_mask)
        joined = torch.cat([x, contexts.to(x.dtype)], dim=1)
        return self.up(self.residuals(joined)), shares


class ModulatedRefiningStage(nn.Module):
    """``RefiningStage`` as we paint it: condition and noise modulate every block; with ``heads`` words are looked up by
    ``WordLookup``."""

    def __init__(self, *, width: int, side: int, word_size: int, residual_blocks: int, modulating: int, heads: int
                 ) -> None:
        super().__init__()
        self.attention = (WordLookup(width, word_size, side=side, heads=heads) if heads
                          else WordAttention(width, word_size))
        self.residuals = nn.ModuleList(ModulatedBlock(2 * width, modulating) for _ in range(residual_blocks))
        self.up = ModulatedUpBlock(2 * width, width, modulating, side=side)

    def forward(self, x: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None, modulating: Tensor
                ) -> tuple[Tensor, Tensor]:
        """(B, width, H, W) to (B, width, 2H, 2W), and the shares (B, T, H, W) of the words."""
        contexts, shares = self.attention(x, words, padding, favour)
        x = torch.cat([x, contexts.to(x.dtype)], dim=1)
        for block in self.residuals:
            x = block(x, modulating)
        return self.up(x, modulating), shares


class Painted(NamedTuple):
    """What the generator makes."""

    images: list[Tensor]
    """(B, 3, S, S) in -1..1, from the smallest to the largest; of the DCGAN form only the largest."""
    shares: list[Tensor]
    """(B, T, S, S) of every refining stage: each place's shares of the words, at the side of the map they refine."""
    condition: Condition


class AnyGenerator(nn.Module):
    """Noise and a caption to pictures: what the authors' generator and ours have in common."""

    conditioning: ConditioningAugmentation
    heads: nn.ModuleList

    def forward(self, noise: Tensor, condition_noise: Tensor | None, sentences: Tensor, words: Tensor, padding: Tensor,
                favour: Tensor | None = None) -> Painted:
        """Paints.

        Args:
            noise: (B, noise_size).
            condition_noise: (B, condition_size) for the condition's sample; without it, its mean. The authors' code
                draws it when it paints too, not only in training.
            sentences: (B, D). ``words``: (B, D, T). ``padding``: bool (B, T), true where there is no word.
            favour: (B, T), see ``WordAttention``.
        """
        condition = self.conditioning(sentences, condition_noise)
        maps, shares = self.grow(torch.cat([condition.code, noise], dim=1), words, padding, favour)
        images = [torch.tanh(head(x)) for head, x in zip(self.heads, maps[-len(self.heads) :], strict=True)]
        return Painted(images, shares, condition)

    def grow(self, vector: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None
             ) -> tuple[list[Tensor], list[Tensor]]:
        """Condition and noise (B, inputs) and the words to what the heads paint, a map (B, width, S, S) for every side,
        and to the shares of the words."""
        raise NotImplementedError


class Generator(AnyGenerator):
    """The authors' generator.

    Args:
        sides: sides of the pictures, each twice the one before; the first a power of two from 8 up.
        text_size: length D of the vectors of captions and words.
        noise_size, condition_size: lengths of the noise and of the condition.
        width: ngf, the channels of every stage's map.
        residual_blocks: of every refining stage.
        one_image: the DCGAN form, which has one head, on the last map.
        official_mask: see ``WordAttention``.
        whitened: whiten the caption's vector that becomes the condition (ours).
    """

    def __init__(self, *, sides: tuple[int, ...], text_size: int, noise_size: int, condition_size: int, width: int,
                 residual_blocks: int, one_image: bool = False, official_mask: bool = False, whitened: bool = False
                 ) -> None:
        super().__init__()
        self.official_mask = official_mask
        self.conditioning = ConditioningAugmentation(text_size, condition_size, activation="glu", whitened=whitened)
        self.first = FirstStage(condition_size + noise_size, width=width, side=sides[0])
        self.refining = nn.ModuleList(
            RefiningStage(width=width, side=side, word_size=text_size, residual_blocks=residual_blocks)
            for side in sides[:-1]
        )
        heads = 1 if one_image else len(sides)
        self.heads = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1, bias=False) for _ in range(heads))

    def grow(self, vector: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None
             ) -> tuple[list[Tensor], list[Tensor]]:
        maps, shares = [self.first(vector)], []
        for stage in self.refining:
            x, share = stage(maps[-1], words, padding, favour, official_mask=self.official_mask)
            maps.append(x)
            shares.append(share)
        return maps, shares


class ModulatedGenerator(AnyGenerator):
    """Our generator: the arguments of ``Generator``, but condition and noise modulate every layer, and each picture is
    normalised by itself."""

    def __init__(self, *, sides: tuple[int, ...], text_size: int, noise_size: int, condition_size: int, width: int,
                 residual_blocks: int, one_image: bool = False, whitened: bool = False, word_heads: int = 0) -> None:
        super().__init__()
        inputs = condition_size + noise_size
        self.conditioning = ConditioningAugmentation(text_size, condition_size, activation="glu", whitened=whitened)
        self.modulating = nn.Linear(inputs, _MODULATING)
        self.first = ModulatedFirstStage(inputs, width=width, side=sides[0], word_size=text_size,
                                         modulating=_MODULATING, heads=word_heads)
        self.refining = nn.ModuleList(
            ModulatedRefiningStage(width=width, side=side, word_size=text_size, residual_blocks=residual_blocks,
                                   modulating=_MODULATING, heads=word_heads) for side in sides[:-1]
        )
        heads = 1 if one_image else len(sides)
        self.heads = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1) for _ in range(heads))

    def grow(self, vector: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None
             ) -> tuple[list[Tensor], list[Tensor]]:
        modulating = functional.leaky_relu(self.modulating(vector), 0.2)
        maps, shares = [self.first(vector, modulating, words, padding, favour)], []
        for stage in self.refining:
            x, share = stage(maps[-1], words, padding, favour, modulating)
            maps.append(x)
            shares.append(share)
        return [functional.leaky_relu(x, 0.2) for x in maps], shares


Norm = Literal["batch", "spectral"]


class Down(nn.Module):
    """A convolution, spectrally normalised or followed by batch normalisation (not the first), leaky ReLU."""

    def __init__(self, before: int, after: int, *, kernel: int, norm: Norm, first: bool = False) -> None:
        super().__init__()
        layer = WideConv2d(before, after, kernel, stride=kernel // 2, padding=1, bias=False)
        self.convolution = spectral_norm(layer) if norm == "spectral" else layer
        self.norm = nn.Identity() if first or norm == "spectral" else nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H / 2, W / 2) for kernel 4, and to (B, after, H, W) for kernel 3."""
        return functional.leaky_relu(self.norm(self.convolution(x)), 0.2)


class Discriminator(nn.Module):
    """A picture, and a caption where one is given, to logits: real, or not.

    Strided 4x4 convolutions take a picture down to 4x4 while the channels double; 3x3 convolutions bring them back to
    8 times the width. The authors' networks end in a sigmoid; here it belongs to the losses.

    Args:
        side: of the pictures: a power of two from 8 up.
        text_size: length D of the captions' vectors. width: ndf, the channels of the first layer.
        unconditional: also a head that judges the picture alone; the DCGAN form has none.
        norm: ``batch`` normalisation after every convolution but the first, as in the paper, or ``spectral``
            normalisation of every convolution.
    """

    def __init__(self, *, side: int, text_size: int, width: int, unconditional: bool = True, norm: Norm = "batch"
                 ) -> None:
        super().__init__()
        self.by_batch = norm == "batch"
        halvings = int(math.log2(side / FIRST_SIDE))
        channels = [3, *(width << i for i in range(halvings))]
        code = min(8 * width, channels[-1])
        self.downs = nn.Sequential(*(
            Down(before, after, kernel=4, norm=norm, first=i == 0)
            for i, (before, after) in enumerate(itertools.pairwise(channels))
        ))
        back = [channels[-1] >> i for i in range(int(math.log2(channels[-1] // code)) + 1)]
        self.backs = nn.Sequential(*itertools.starmap(partial(Down, kernel=3, norm=norm), itertools.pairwise(back)))
        self.joint = Down(code + text_size, code, kernel=3, norm=norm)
        self.conditional = _score(code, norm)
        self.unconditional = _score(code, norm) if unconditional else None

    def look(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, side, side) to features (B, F, 4, 4)."""
        return self.backs(self.downs(images))

    def judge(self, features: Tensor, sentences: Tensor) -> Tensor:
        """Features (B, F, 4, 4) and captions (M, D), for the pictures in turn, again and again, to logits (M,): the
        picture is real and the caption its own."""
        assert isinstance(self.joint.convolution, nn.Conv2d)
        x = self.joint.norm(joint_convolution(self.joint.convolution, features, sentences))
        return self.conditional(functional.leaky_relu(x, 0.2)).flatten()

    def judge_alone(self, features: Tensor) -> Tensor | None:
        """Features to logits (B,): the picture is real; None without that head."""
        return None if self.unconditional is None else self.unconditional(features).flatten()


def _score(channels: int, norm: Norm) -> nn.Module:
    layer = nn.Conv2d(channels, 1, FIRST_SIDE, stride=FIRST_SIDE)
    return spectral_norm(layer) if norm == "spectral" else layer


@torch.no_grad()
def initialise_attngan(network: nn.Module, generator: torch.Generator) -> None:
    """Draws the first weights of a generator or discriminator in place.

    Convolutions and linear layers: orthogonal; biases of linear layers 0, of convolutions torch's default. Batch
    normalisation: weight N(1, 0.02), bias 0. The attention's projection is a 1x1 convolution in the authors' code and
    treated alike. Source: the released code.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            # spectral normalisation keeps the weight under another name
            weight = next(value for name, value in module.named_parameters() if "weight" in name)
            nn.init.orthogonal_(weight, generator=generator)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.weight.normal_(1.0, 0.02, generator=generator)
            module.bias.zero_()
