"""From a configuration to networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limner.nn.matching_discriminator import MatchingDiscriminator, WordMatchingDiscriminator
from limner.systems.attngan.config import AttnGanConfig
from limner.systems.attngan.networks import AnyGenerator, Discriminator, Generator, ModulatedGenerator

AnyDiscriminator = Discriminator | MatchingDiscriminator


def build_generator(config: AttnGanConfig) -> AnyGenerator:
    """The generator of a configuration, with torch's first weights."""
    gan = config.gan
    shape: dict[str, Any] = {
        "sides": gan.sides, "text_size": config.damsm.embedding, "noise_size": gan.noise_size,
        "condition_size": gan.condition_size, "width": gan.generator_width, "residual_blocks": gan.residual_blocks,
        "one_image": gan.dcgan, "whitened": gan.whitened}
    if gan.modulated:
        return ModulatedGenerator(**shape, word_heads=gan.word_heads)
    return Generator(**shape, official_mask=gan.official_mask)


def build_discriminator(config: AttnGanConfig, side: int, *, lent: Sequence[int] = ()) -> AnyDiscriminator:
    """The discriminator of one size, with torch's first weights; ``lent``: see ``MatchingDiscriminator``."""
    gan, text_size = config.gan, config.damsm.embedding
    if gan.discriminator == "matching":
        shape: dict[str, Any] = {"text_size": text_size, "condition_size": gan.condition_size,
                                 "width": gan.discriminator_width, "image_size": side, "lent": lent}
        if gan.judged_heads and side == gan.image_size:
            return WordMatchingDiscriminator(**shape, word_size=text_size, word_heads=gan.judged_heads)
        return MatchingDiscriminator(**shape)
    return Discriminator(side=side, text_size=text_size, width=gan.discriminator_width, unconditional=not gan.dcgan,
                         norm=gan.discriminator)
