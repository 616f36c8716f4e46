"""The networks of StackGAN: the sketch's generator (Stage I), the refinement's (Stage II), and their discriminator.

One set of networks for the authors' two releases (Zhang et al., ICCV 2017), which differ; switches of the constructors
cover both. docs/systems/stackgan.md sets the layers beside the equations.
"""

from __future__ import annotations

import itertools
import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.blocks import Bottleneck
from limner.nn.conditioning import Activation, Condition, ConditioningAugmentation, Deviation
from limner.nn.modulation import ModulatedDecoder
from limner.nn.upsampling import DoublingConvolution
from limner.nn.wide import WideConv2d, joint_convolution

_SATURATED = 0.99  # values of a sketch beyond are taken for it before the enlarged sketch is added to
_leaky_relu = partial(functional.leaky_relu, negative_slope=0.2)


def _doublings(small: int, large: int) -> int:
    return int(math.log2(large // small))


def _convolution3(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


class UpBlock(nn.Module):
    """Nearest-neighbour doubling, 3x3 convolution, batch normalisation, perhaps a bottleneck, ReLU; ``side`` is that of
    the map before."""

    def __init__(self, before: int, after: int, *, side: int, residual: bool = False) -> None:
        super().__init__()
        self.convolution: nn.Module = DoublingConvolution(before, after, side=side, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.block = Bottleneck(after, after // 4, activation=functional.relu, bias=False) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, 2H, 2W)."""
        x = self.norm(self.convolution(x))
        return functional.relu(x if self.block is None else self.block(x))


class SketchGenerator(nn.Module):
    """Stage I: a caption's embedding and noise to a small picture.

    Args:
        text_size: length T of the embedding.
        condition_size: length C of the conditioning variable.
        noise_size: length Z of the noise.
        width: channels g; the 4x4 map has 8 g, every doubling halves them.
        image_size: side of the sketch, a power of two from 16 up.
        activation, deviation, whitened: of the conditioning augmentation.
        noise_first: noise before the condition in the joint input (PyTorch) or after it (TensorFlow).
        residual: bottlenecks at 4x4 and 8x8, a bias in the first layer, and the last doubling goes straight to the
            three colours (TensorFlow); without, there is a hidden layer at full resolution (PyTorch).
    """

    def __init__(self, *, text_size: int = 1024, condition_size: int = 128, noise_size: int = 100, width: int = 128,
                 image_size: int = 64, activation: Activation = "relu", deviation: Deviation = "log-variance",
                 noise_first: bool = True, residual: bool = False, whitened: bool = False) -> None:
        super().__init__()
        doublings = _doublings(4, image_size) - residual
        channels = [8 * width >> halving for halving in range(doublings + 1)]
        self.noise_first = noise_first
        self.residual = residual
        self.augmentation = ConditioningAugmentation(text_size, condition_size, activation=activation,
                                                     deviation=deviation, whitened=whitened)
        self.start = nn.Linear(noise_size + condition_size, channels[0] * 16, bias=residual)
        self.start_norm = nn.BatchNorm1d(channels[0] * 16)
        self.start_block = (Bottleneck(channels[0], channels[0] // 4, activation=functional.relu, bias=False)
                            if residual else None)
        self.ups = nn.ModuleList(UpBlock(before, after, side=4 << place, residual=residual and place == 0)
                                 for place, (before, after) in enumerate(itertools.pairwise(channels)))
        self.to_rgb = _convolution3(channels[-1], 3)

    def forward(self, text: Tensor, noise: Tensor, condition_noise: Tensor | None) -> tuple[Tensor, Condition]:
        """Embeddings (B, T), noise (B, Z) and noise of the condition (B, C) to sketches (B, 3, S, S) in -1..1."""
        condition = self.augmentation(text, condition_noise)
        return self.paint(condition.code, noise), condition

    def paint(self, code: Tensor, noise: Tensor) -> Tensor:
        """Codes (B, C) and noise (B, Z) to sketches (B, 3, S, S) in -1..1."""
        x = self.start_norm(self.start(torch.cat([noise, code] if self.noise_first else [code, noise], dim=1)))
        x = x.unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        x = functional.relu(x if self.start_block is None else self.start_block(x))
        for up in self.ups:
            x = up(x)
        if self.residual:
            x = functional.interpolate(x, scale_factor=2)
        return torch.tanh(self.to_rgb(x))


class ModulatedSketchGenerator(ModulatedDecoder):
    """Stage I as we paint it: the same inputs as ``SketchGenerator``, which modulate every layer instead of the first.

    Args:
        text_size, condition_size, noise_size, image_size, activation, deviation, whitened: as ``SketchGenerator``.
        width: channels g of which full resolution has half, as there.
    """

    def __init__(self, *, text_size: int, condition_size: int, noise_size: int, width: int, image_size: int,
                 activation: Activation, deviation: Deviation, whitened: bool) -> None:
        super().__init__(input_size=noise_size + condition_size, condition_size=condition_size, width=width // 2,
                         image_size=image_size)
        self.augmentation = ConditioningAugmentation(text_size, condition_size, activation=activation,
                                                     deviation=deviation, whitened=whitened)

    def forward(self, text: Tensor, noise: Tensor, condition_noise: Tensor | None) -> tuple[Tensor, Condition]:
        """Embeddings (B, T), noise (B, Z) and noise of the condition (B, C) to sketches (B, 3, S, S) in -1..1."""
        condition = self.augmentation(text, condition_noise)
        return self.paint(condition.code, noise), condition

    def paint(self, code: Tensor, noise: Tensor) -> Tensor:
        """Codes (B, C) and noise (B, Z) to sketches (B, 3, S, S) in -1..1."""
        return self.decode(torch.cat([noise, code], dim=1))


class ResidualBlock(nn.Module):
    """``relu(x + f(x))`` with f = two 3x3 convolutions, batch normalisation after each, ReLU between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution1 = _convolution3(channels, channels)
        self.norm1 = nn.BatchNorm2d(channels)
        self.convolution2 = _convolution3(channels, channels)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        y = functional.relu(self.norm1(self.convolution1(x)))
        return functional.relu(x + self.norm2(self.convolution2(y)))


class RefinementGenerator(nn.Module):
    """Stage II: a sketch and the caption once more to a picture of a multiple of its side.

    Args:
        text_size, condition_size: lengths T and C.
        width: channels g of the first layer; the text joins at 4 g channels and a quarter of the sketch's side.
        sketch_size, image_size: sides, powers of two.
        residual_blocks: R blocks behind the joint.
        activation, deviation, whitened: of its own conditioning augmentation.
        keeps_sketch: add to the enlarged sketch (ours) instead of painting all anew.
        exact: and add only what averages to nothing over each of the sketch's pixels, so that the picture, scaled down,
            is the sketch (values may then lie a little beyond -1..1).

    Otherwise the same in both releases.
    """

    def __init__(self, *, text_size: int = 1024, condition_size: int = 128, width: int = 128, sketch_size: int = 64,
                 image_size: int = 256, residual_blocks: int = 4, activation: Activation = "relu",
                 deviation: Deviation = "log-variance", whitened: bool = False, keeps_sketch: bool = False,
                 exact: bool = False) -> None:
        super().__init__()
        self.enlargement = image_size // sketch_size if keeps_sketch else None
        self.exact = exact
        self.augmentation = ConditioningAugmentation(text_size, condition_size, activation=activation,
                                                     deviation=deviation, whitened=whitened)
        self.encode1 = _convolution3(3, width)
        self.encode2 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.encode2_norm = nn.BatchNorm2d(2 * width)
        self.encode3 = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False)
        self.encode3_norm = nn.BatchNorm2d(4 * width)
        self.joint = _convolution3(4 * width + condition_size, 4 * width)
        self.joint_norm = nn.BatchNorm2d(4 * width)
        self.blocks = nn.ModuleList(ResidualBlock(4 * width) for _ in range(residual_blocks))
        channels = [4 * width >> halving for halving in range(_doublings(sketch_size // 4, image_size) + 1)]
        self.ups = nn.ModuleList(UpBlock(before, after, side=sketch_size // 4 << place)
                                 for place, (before, after) in enumerate(itertools.pairwise(channels)))
        self.to_rgb = _convolution3(channels[-1], 3)

    def forward(self, sketch: Tensor, text: Tensor, condition_noise: Tensor | None) -> tuple[Tensor, Condition]:
        """Sketches (B, 3, s, s), embeddings (B, T) and noise (B, C) to pictures (B, 3, S, S) in -1..1."""
        condition = self.augmentation(text, condition_noise)
        return self.paint(sketch, condition.code), condition

    def paint(self, sketch: Tensor, code: Tensor) -> Tensor:
        """Sketches (B, 3, s, s) in -1..1 and codes (B, C) to pictures (B, 3, S, S) in -1..1."""
        x = functional.relu(self.encode1(sketch))
        x = functional.relu(self.encode2_norm(self.encode2(x)))
        x = functional.relu(self.encode3_norm(self.encode3(x)))
        x = functional.relu(self.joint_norm(self.joint(torch.cat([x, _tiled(code, x)], dim=1))))
        for block in self.blocks:
            x = block(x)
        for up in self.ups:
            x = up(x)
        x = self.to_rgb(x)
        if self.enlargement is None:
            return torch.tanh(x)
        before = torch.atanh(sketch.float().clamp(-_SATURATED, _SATURATED))
        x = torch.tanh(x + functional.interpolate(before, scale_factor=self.enlargement, mode="bilinear"))
        if not self.exact:
            return x
        return x + functional.interpolate(sketch - functional.avg_pool2d(x, self.enlargement),
                                          scale_factor=self.enlargement)


Sketcher = SketchGenerator | ModulatedSketchGenerator


class Discriminator(nn.Module):
    """Scores pictures of one side with captions, in two parts: ``look`` at a picture, ``judge`` what was seen.

    Args:
        image_size: side of the pictures, a power of two; strided 4x4 convolutions lead down to a 4x4 map.
        width: channels d of the first layer; every halving of the side doubles them, and where there are more than
            8 d, further convolutions bring them back to 8 d.
        condition_size: length C of what joins the map.
        text_size: length T of the embedding if the network reads captions by a layer of its own (TensorFlow); None if
            it is told the mean of the generator's condition (PyTorch).
        joint_kernel: side of the convolution over map and condition, and of those that reduce channels: 3 (PyTorch) or
            1 (TensorFlow).
        residual: a bottleneck at 4x4, no bias in the score, and, where no channels are reduced, no activation after
            the last but one strided convolution (TensorFlow).
        unconditional: a second score that sees the picture alone (PyTorch, Stage II).

    The official networks of PyTorch end in a sigmoid; here it belongs to the losses.
    """

    by_batch = True
    """Whether a picture is normalised with the others of its batch."""

    def __init__(self, *, image_size: int, width: int = 64, condition_size: int = 128, text_size: int | None = None,
                 joint_kernel: int = 3, residual: bool = False, unconditional: bool = False) -> None:
        super().__init__()
        halvings = _doublings(4, image_size)
        channels = [width << doubling for doubling in range(halvings)]
        reduced = [count for count in reversed(channels[:-1]) if count >= 8 * width]
        features = (reduced or channels)[-1]
        self.first = nn.Conv2d(3, width, 4, stride=2, padding=1, bias=False)
        self.downs = nn.ModuleList(
            _block(WideConv2d(before, after, 4, stride=2, padding=1, bias=False))
            for before, after in itertools.pairwise(channels))
        self.reductions = nn.ModuleList(
            _block(WideConv2d(before, after, joint_kernel, padding=joint_kernel // 2, bias=False))
            for before, after in itertools.pairwise([channels[-1], *reduced]))
        self.block = Bottleneck(features, features // 4, activation=_leaky_relu, bias=False) if residual else None
        self.text = None if text_size is None else nn.Linear(text_size, condition_size)
        self.joint = _block(WideConv2d(features + condition_size, features, joint_kernel, padding=joint_kernel // 2,
                                       bias=False))
        self.score = nn.Conv2d(features, 1, 4, stride=4, bias=not residual)
        self.score_alone = nn.Conv2d(features, 1, 4, stride=4) if unconditional else None
        linear = set()  # positions in the chain of blocks that no activation follows
        if residual:
            linear = {len(self.downs) + len(self.reductions) - 1} | (set() if reduced else {len(self.downs) - 2})
        self._linear = linear

    def look(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in -1..1 to feature maps (B, F, 4, 4)."""
        x = _leaky_relu(self.first(images))
        for place, block in enumerate(itertools.chain(self.downs, self.reductions)):
            x = block(x) if place in self._linear else _leaky_relu(block(x))
        return x if self.block is None else _leaky_relu(self.block(x))

    def judge(self, features: Tensor, condition: Tensor) -> Tensor:
        """Feature maps (B, F, 4, 4) and conditions (M, C), or embeddings (M, T), for the pictures in turn, again and
        again, to logits (M,): real and matching?"""
        told = condition if self.text is None else _leaky_relu(self.text(condition))
        convolution, norm = self.joint
        assert isinstance(convolution, nn.Conv2d)
        return self.score(_leaky_relu(norm(joint_convolution(convolution, features, told)))).flatten()

    def judge_alone(self, features: Tensor) -> Tensor | None:
        """Feature maps (B, F, 4, 4) to logits (B,): real? None where there is no such score."""
        return None if self.score_alone is None else self.score_alone(features).flatten()


def _block(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels))


def _tiled(vector: Tensor, like: Tensor) -> Tensor:
    """(B, C) to (B, C, H, W) at every place of a map, in the map's precision."""
    return vector.to(like.dtype)[:, :, None, None].expand(-1, -1, *like.shape[2:])
