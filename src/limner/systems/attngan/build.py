"""From a configuration to the generator that a painter needs."""

from __future__ import annotations

from typing import Any

from limner.systems.attngan.config import AttnGanConfig
from limner.systems.attngan.networks import AnyGenerator, Generator, ModulatedGenerator


def build_generator(config: AttnGanConfig) -> AnyGenerator:
    """The generator of a configuration, with torch's first weights."""
    gan = config.gan
    shape: dict[str, Any] = {
        "sides": gan.sides, "text_size": config.damsm.embedding, "noise_size": gan.noise_size,
        "condition_size": gan.condition_size, "width": gan.generator_width, "residual_blocks": gan.residual_blocks,
        "one_image": gan.dcgan, "whitened": gan.whitened}
    return ModulatedGenerator(**shape) if gan.modulated else Generator(**shape, official_mask=gan.official_mask)
