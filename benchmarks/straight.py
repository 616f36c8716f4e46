"""The generators of GAN-CLS as a plain port writes them: float32, NCHW, eager. The baseline of the benchmarks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.modulation import ModulatedUpBlock
from limner.systems.gan_cls.config import GanClsConfig, PaperGan
from limner.systems.gan_cls.improved import ModulatedGenerator
from limner.systems.gan_cls.networks import Generator


class PlainGenerator(Generator):
    """The paper's generator, layer after layer."""

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        x = torch.cat([noise, functional.leaky_relu(self.txt_fc(text), 0.2)], dim=1)[:, :, None, None]
        x = functional.relu(self.res4(self.up0_bn(self.up0(x))))
        x = functional.relu(self.res8(self.up1_bn(self.up1(x))))
        x = functional.relu(self.up2_bn(self.up2(x)))
        x = functional.relu(self.up3_bn(self.up3(x)))
        return torch.tanh(self.to_rgb(x))


def plain_up(block: nn.Module, x: Tensor, condition: Tensor) -> Tensor:
    """A modulated block as written: the enlarged map, then its convolution."""
    assert isinstance(block, ModulatedUpBlock)
    y = functional.leaky_relu(block.modulation1(block.normalisation1(x), condition), 0.2)
    first = block.convolution1
    y = functional.conv2d(functional.interpolate(y, scale_factor=2), first.weight, first.bias, padding=1)
    y = block.convolution2(functional.leaky_relu(block.modulation2(block.normalisation2(y), condition), 0.2))
    return functional.interpolate(block.shortcut(x), scale_factor=2) + y


class PlainModulatedGenerator(ModulatedGenerator):
    """The improved generator without any care for the memory layout."""

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        joint = torch.cat([noise, functional.leaky_relu(self.text(self.whitened(text)), 0.2)], dim=1)
        condition = functional.leaky_relu(self.condition(joint), 0.2)
        x = self.start(joint).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            x = plain_up(block, x, condition)
        x = self.up(functional.leaky_relu(self.modulation(x, condition), 0.2))
        return torch.tanh(self.to_rgb(functional.leaky_relu(functional.pixel_shuffle(x, 2), 0.2)))


def plain_generator(config: GanClsConfig) -> PlainGenerator | PlainModulatedGenerator:
    """The plain form of ``build_generator``: the same layers, the same names of weights."""
    gan, text_size = config.gan, config.matching.text.embedding
    if isinstance(gan, PaperGan):
        return PlainGenerator(noise_size=gan.noise_size, text_size=text_size, text_projection=gan.text_projection,
                              width=gan.generator_width)
    return PlainModulatedGenerator(noise_size=gan.noise_size, text_size=text_size, condition_size=gan.condition_size,
                                   width=gan.generator_width, image_size=gan.image_size)
