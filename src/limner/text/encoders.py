"""From a configuration to a text encoder with its first weights."""

from __future__ import annotations

import torch
from torch import nn

from limner.errors import LimnerError
from limner.nn.initialisation import seeded_initialisation
from limner.randomness import torch_generator
from limner.text.char_cnn_rnn import ConvolutionalEncoder, ConvolutionalRecurrentEncoder
from limner.text.config import TextEncoderConfig
from limner.text.word_gru import WordGatedEncoder

TextEncoder = ConvolutionalEncoder | ConvolutionalRecurrentEncoder | WordGatedEncoder
"""``forward(tokens (B, tokens_per_caption) int64) -> (B, D)``; ``vocabulary_size`` is the highest index."""

INITIAL_RANGE = 0.08
"""All first weights, biases included, are uniform in -0.08 .. 0.08 (released training script)."""


def build_text_encoder(config: TextEncoderConfig, vocabulary_size: int, *, seed: int = 0) -> TextEncoder:
    """The text encoder of a configuration, float32 on the CPU, with first weights that depend on the seed alone.

    ``vocabulary_size`` is the highest index that tokens may have (the tokeniser's attribute of the same name).
    No global random generator is read or moved.
    """
    if vocabulary_size < 1:
        raise LimnerError(f"A text encoder needs a vocabulary of at least one token, got {vocabulary_size}.")
    with seeded_initialisation(seed, "text-encoder"):  # torch's own first weights, which are drawn over below
        encoder = _network(config, vocabulary_size)
    generator = torch_generator(seed, "text-encoder")
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.uniform_(-INITIAL_RANGE, INITIAL_RANGE, generator=generator)
        for module in encoder.modules():
            if isinstance(module, nn.Embedding):
                module.weight[0].zero_()
    return encoder


def _network(config: TextEncoderConfig, vocabulary_size: int) -> TextEncoder:
    if config.architecture == "word-gru":
        return WordGatedEncoder(config, vocabulary_size)
    if config.pattern.recurrence is None:
        return ConvolutionalEncoder(config, vocabulary_size)
    return ConvolutionalRecurrentEncoder(config, vocabulary_size)
