"""From a configuration to networks and tokens, fresh or trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from limner.nn.initialisation import seeded_initialisation
from limner.systems.aligndraw.config import AlignDrawConfig
from limner.systems.aligndraw.first_weights import scale
from limner.systems.aligndraw.networks import Generator, Recognition
from limner.systems.aligndraw.sharpening import Sharpener
from limner.text.words import WordTokeniser
from limner.training.stage import Components, loaded


def fresh_networks(config: AlignDrawConfig, tokeniser: WordTokeniser | None, seed: int
                   ) -> tuple[Generator, Recognition]:
    """Both networks with their first weights, drawn by address."""
    with seeded_initialisation(seed, "aligndraw"):
        generator = _generator(config, tokeniser)
        recognition = Recognition(config.drawing, learned_start=config.captions is not None)
    if config.drawing.first_weights == "scaled":
        scale(generator, recognition)
    return generator, recognition


def trained_generator(config: AlignDrawConfig, tokeniser: WordTokeniser | None, components: Components) -> Generator:
    """Ready to paint."""
    return loaded(_generator(config, tokeniser), components.weights["generator"])


def trained_recognition(config: AlignDrawConfig, components: Components) -> Recognition:
    """Ready to look."""
    recognition = Recognition(config.drawing, learned_start=config.captions is not None)
    return loaded(recognition, components.weights["recognition"])


def fresh_sharpener(config: AlignDrawConfig) -> Sharpener:
    assert config.sharpening is not None
    assert config.captions is not None
    width = config.sharpening.width
    return Sharpener(side=config.drawing.image_size, sentence=2 * config.captions.units, widths=(width, width))


def tokeniser_of(components: Components) -> WordTokeniser | None:
    """The tokeniser that the drawing stage built, or None where captions are not read."""
    saved = components.assets.get("tokeniser")
    return None if saved is None else WordTokeniser.from_json(saved)


def tokens_of(tokeniser: WordTokeniser, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Captions to tokens int64 (N, length) and their numbers of words int64 (N,).

    A caption without any word counts as one empty word.
    """
    tokens = tokeniser.encode(captions)
    return torch.from_numpy(tokens), torch.from_numpy(np.maximum((tokens != 0).sum(1), 1))


def _generator(config: AlignDrawConfig, tokeniser: WordTokeniser | None) -> Generator:
    return Generator(config.drawing, config.captions, words=0 if tokeniser is None else tokeniser.vocabulary_size + 1)
