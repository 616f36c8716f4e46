"""From a configuration to the networks that a painter needs."""

from __future__ import annotations

from limner.systems.gan_cls.config import GanClsConfig, PaperGan, StyleConfig
from limner.systems.gan_cls.improved import ModulatedGenerator
from limner.systems.gan_cls.networks import Generator, StyleEncoder


def build_generator(config: GanClsConfig) -> Generator | ModulatedGenerator:
    """``forward(noise (B, nz), text (B, D)) -> pictures (B, 3, S, S) in -1..1``, with torch's first weights."""
    gan, text_size = config.gan, config.matching.text.embedding
    if isinstance(gan, PaperGan):
        return Generator(noise_size=gan.noise_size, text_size=text_size, text_projection=gan.text_projection,
                         width=gan.generator_width, large=gan.large)
    return ModulatedGenerator(noise_size=gan.noise_size, text_size=text_size, condition_size=gan.condition_size,
                              width=gan.generator_width, image_size=gan.image_size)


def build_style_encoder(config: GanClsConfig, style: StyleConfig) -> StyleEncoder:
    """``forward(pictures (B, 3, 64, 64)) -> noise (B, nz)``, with torch's first weights."""
    return StyleEncoder(noise_size=config.gan.noise_size, width=style.width)
