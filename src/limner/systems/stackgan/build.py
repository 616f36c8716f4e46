"""From a configuration to networks, to the noise they are fed, and to whatever reads captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.nn.conditioning import truncated_normal
from limner.nn.matching_discriminator import MatchingDiscriminator
from limner.randomness import torch_generator
from limner.systems.captions import Captions, held_out_pictures, matched_captions
from limner.systems.stackgan.config import EmbeddingFile, Networks, StackGanConfig
from limner.systems.stackgan.networks import (
    Discriminator,
    ModulatedSketchGenerator,
    RefinementGenerator,
    Sketcher,
    SketchGenerator,
)
from limner.text.embedding_table import EmbeddingTable
from limner.training.stage import Components

StageName = Literal["sketch", "refinement"]


def build_sketch_generator(config: StackGanConfig) -> Sketcher:
    """Stage I with torch's first weights."""
    sizes = config.networks
    if sizes.modulated:
        return ModulatedSketchGenerator(
            text_size=config.text_size, condition_size=sizes.condition_size, noise_size=sizes.noise_size,
            width=sizes.generator_width, image_size=sizes.sketch_size, activation=sizes.condition_activation,
            deviation=sizes.condition_deviation, whitened=sizes.whitened)
    return SketchGenerator(
        text_size=config.text_size, condition_size=sizes.condition_size, noise_size=sizes.noise_size,
        width=sizes.generator_width, image_size=sizes.sketch_size, activation=sizes.condition_activation,
        deviation=sizes.condition_deviation, noise_first=sizes.noise_first, residual=sizes.sketch_residual,
        whitened=sizes.whitened)


def build_refinement_generator(config: StackGanConfig) -> RefinementGenerator:
    """Stage II with torch's first weights."""
    sizes = config.networks
    return RefinementGenerator(
        text_size=config.text_size, condition_size=sizes.condition_size, width=sizes.refinement_widths[0],
        sketch_size=sizes.sketch_size, image_size=sizes.image_size, residual_blocks=sizes.residual_blocks,
        activation=sizes.condition_activation, deviation=sizes.condition_deviation, whitened=sizes.whitened,
        keeps_sketch=sizes.keeps_sketch, exact=sizes.exact_sketch)


def build_discriminator(config: StackGanConfig, stage: StageName, *, lent: Sequence[int] = ()
                        ) -> Discriminator | MatchingDiscriminator:
    """The discriminator of a stage with torch's first weights; ``lent``: see ``MatchingDiscriminator``."""
    sizes = config.networks
    image_size = sizes.sketch_size if stage == "sketch" else sizes.image_size
    width = sizes.discriminator_width if stage == "sketch" else sizes.refinement_widths[1]
    if sizes.discriminator == "matching":
        return MatchingDiscriminator(text_size=config.text_size, condition_size=sizes.condition_size, width=width,
                                     image_size=image_size, lent=lent)
    return Discriminator(
        image_size=image_size, width=width, condition_size=sizes.condition_size,
        text_size=config.text_size if sizes.discriminator_reads == "caption" else None,
        joint_kernel=sizes.joint_kernel, residual=sizes.discriminator_residual,
        unconditional=sizes.unconditional and stage == "refinement")


@torch.no_grad()
def initialise(network: nn.Module, seed: int, purpose: str) -> None:
    """First weights of the PyTorch release, in place: convolutions and linear layers N(0, 0.02) with linear biases 0,
    batch normalisation weight N(1, 0.02) and bias 0. Biases of convolutions keep torch's first values."""
    generator = torch_generator(seed, purpose)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(0.0, 0.02, generator=generator)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.weight.normal_(1.0, 0.02, generator=generator)
            module.bias.zero_()
        elif isinstance(module, nn.Linear):
            module.weight.normal_(0.0, 0.02, generator=generator)
            if module.bias is not None:
                module.bias.zero_()


def condition_noise(networks: Networks, noise: Tensor) -> Tensor | None:
    """Standard normal noise (B, C) as the conditioning augmentation takes it; None where there is no augmentation."""
    if not networks.augmentation:
        return None
    return truncated_normal(noise) if networks.condition_noise == "truncated" else noise


def read_captions(config: StackGanConfig, corpus: Corpus, components: Components) -> Captions:
    """The embeddings that a stage trains on. Raises LimnerError for captions that a table does not have."""
    if not isinstance(config.text, EmbeddingFile):
        return matched_captions(config.text, corpus, components)
    return Captions(corpus, load_table(config.text).encode)


def load_table(text: EmbeddingFile) -> EmbeddingTable:
    """The table of a configuration. Raises LimnerError if its embeddings have another length."""
    table = EmbeddingTable.load(Path(text.folder))
    if table.embeddings.shape[1] != text.embedding:
        raise LimnerError(f"the embeddings in {text.folder} have {table.embeddings.shape[1]} numbers each; "
                          f"text.embedding says {text.embedding}.")
    return table


def table_components(config: StackGanConfig, corpus: Corpus) -> Components:
    """What a painter without a text encoder can read: the held-out captions of the corpus with their embeddings."""
    if not isinstance(config.text, EmbeddingFile):
        return Components()
    table = load_table(config.text).only(held_out_pictures(corpus).captions)
    return Components({"caption_embeddings": {"embeddings": table.embeddings}}, {"captions": table.captions})
