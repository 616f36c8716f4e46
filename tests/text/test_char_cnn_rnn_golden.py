"""Every array of the reference vectors of the text encoders, in both precisions, from the released weight layouts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.golden.char_cnn_rnn.reference import PRECISIONS, Reference
from torch import nn

from limner.text.char_cnn_rnn import THRESHOLD, TemporalMaxPool, convolution_trunk, temporal_convolution_weight
from limner.text.characters import ALPHABET, INDEX_OF, CharacterTokeniser
from limner.text.config import Architecture, Layer, TextEncoderConfig
from limner.text.encoders import build_text_encoder

RECURRENT: dict[str, tuple[Architecture, bool]] = {
    "enc_hybrid_rnn8": ("char-cnn-rnn", True),
    "enc_hybridlong_rnn18": ("char-cnn-rnn-long", True),
    "enc_hybridlong_gru18_last": ("char-cnn-gru", False),
}
CONVOLUTIONAL: dict[str, tuple[Architecture, tuple[int, ...]]] = {
    "enc_charcnn_large": ("char-cnn-large", (12, 16, 16)),
    "enc_wordcnn": ("word-cnn", (8, 8, 8, 20)),
}
MAPS = {
    "i2h": "recurrence.input_to_hidden", "i2h_update": "recurrence.input_to_update",
    "i2h_reset": "recurrence.input_to_reset", "h2h": "recurrence.hidden_to_hidden",
    "h2h_update": "recurrence.hidden_to_update", "h2h_reset": "recurrence.hidden_to_reset", "emb_proj": "projection",
}  # fmt: skip


def recurrent_encoder(reference: Reference, config: TextEncoderConfig, vocabulary_size: int) -> nn.Module:
    encoder = build_text_encoder(config, vocabulary_size)
    state = {}
    for number, place in enumerate(convolution_places(encoder), start=1):
        state[f"{place}.weight"] = reference.tensor(f"w/conv{number}_w")
        state[f"{place}.bias"] = reference.tensor(f"w/conv{number}_b")
    for theirs, ours in MAPS.items():
        if f"w/{theirs}_w" in reference.arrays:
            state[f"{ours}.weight"] = reference.tensor(f"w/{theirs}_w")
            state[f"{ours}.bias"] = reference.tensor(f"w/{theirs}_b")
    encoder.load_state_dict(state)
    return encoder.to(reference.dtype)


def convolution_places(encoder: nn.Module) -> list[str]:
    return [f"trunk.{n}" for n, module in enumerate(encoder.trunk) if hasattr(module, "weight")]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_character_encoders(name: str, precision: str) -> None:
    reference = Reference(name, precision)
    architecture, average = RECURRENT[name]
    config = TextEncoderConfig(
        architecture=architecture, widths=(12, 16, 10), length=201, embedding=14, average=average
    )
    encoder = recurrent_encoder(reference, config, 70)
    for number in (1, 2, 3):
        converted = temporal_convolution_weight(reference.take(f"w/conv{number}_w_torch7"), 4)
        reference.equal(f"w/conv{number}_w", converted)
    tokens = CharacterTokeniser().encode([str(caption) for caption in reference.take("in/strings")])
    reference.equal("in/idx", tokens)

    tokens = torch.from_numpy(tokens)
    values: torch.Tensor = tokens
    convolution = 0
    for module in encoder.trunk:
        values = module(values)
        if isinstance(module, nn.Threshold):
            convolution += 1
            reference.close(f"act/conv{convolution}", values.transpose(1, 2))
        elif isinstance(module, TemporalMaxPool) and convolution < 3:
            reference.close(f"act/pool{convolution}", values.transpose(1, 2))
    reference.close("act/rnn_in", values.transpose(1, 2))
    states = encoder.states(tokens)
    # The 18 unbounded ReLU states grow to 45, where float32 is spaced 4e-6 apart: two of the 1260 values end 6 spacings
    # (2.3e-5) off. This one array is held to 2e-5 of its values in float32; every other array to 2e-5 outright.
    reference.close("act/rnn_states", states, scaled=(name, precision) == ("enc_hybridlong_rnn18", "float32"))
    reference.close("act/rnn_out", states.mean(1) if average else states[:, -1])
    reference.close("act/emb", encoder(tokens))
    reference.finish()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_recurrent_word_encoder(precision: str) -> None:
    reference = Reference("enc_word_hybrid_rnn8", precision)
    config = TextEncoderConfig(architecture="word-cnn-rnn", widths=(16, 16, 16), length=30, embedding=14)
    encoder = recurrent_encoder(reference, config, 23)
    tokens = reference.tensor("in/idx")
    reference.close("act/rnn_states", encoder.states(tokens))
    reference.close("act/emb", encoder(tokens))
    reference.finish()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_convolutional_encoders(name: str, precision: str) -> None:
    reference = Reference(name, precision)
    architecture, widths = CONVOLUTIONAL[name]
    length, vocabulary_size = (201, 70) if architecture.startswith("char") else (30, 23)
    config = TextEncoderConfig(architecture=architecture, widths=widths, length=length, embedding=14)
    encoder = build_text_encoder(config, vocabulary_size)
    state = {}
    for number, (place, layer) in enumerate(zip(convolution_places(encoder), config.pattern.layers, strict=True)):
        torch7 = reference.take(f"w/{number:02}_TemporalConvolution_weight")
        state[f"{place}.weight"] = torch.from_numpy(temporal_convolution_weight(torch7, layer.kernel))
        state[f"{place}.bias"] = reference.tensor(f"w/{number:02}_TemporalConvolution_bias")
    for number in range(len(encoder.projection)):
        state[f"projection.{number}.weight"] = reference.tensor(f"w/{number + 3:02}_Linear_weight")
        state[f"projection.{number}.bias"] = reference.tensor(f"w/{number + 3:02}_Linear_bias")
    encoder.load_state_dict(state)
    encoder.to(reference.dtype)

    tokens = values = reference.tensor("in/idx")
    recorded = sorted(key for key in reference.arrays if key.startswith("act/") and key[4:6].isdigit())
    modules = iter([*encoder.trunk, *encoder.projection])
    for key in recorded:
        kind = key.split("_")[1]
        if kind == "Reshape":
            values = values.transpose(1, 2).flatten(1)
        elif kind != "Dropout":  # nothing is dropped at test time
            values = next(modules)(values)
        reference.close(key, values.transpose(1, 2) if values.ndim == 3 else values)
    assert next(modules, None) is None
    reference.close("act/emb", encoder(tokens))
    reference.finish()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_threshold(precision: str) -> None:
    reference = Reference("threshold", precision)
    threshold = convolution_trunk(70, (1,), (Layer(4),))[1]
    assert isinstance(threshold, nn.Threshold)
    assert threshold.threshold == THRESHOLD
    reference.close("y", threshold(reference.tensor("x")))
    reference.finish()


def test_text_encoding() -> None:
    reference = Reference("text_encoding")
    captions = [str(caption) for caption in reference.take("strings")]
    reference.equal("alphabet", np.array(list(ALPHABET)))
    characters, indices = reference.take("char_to_index_keys"), reference.take("char_to_index_vals")
    assert dict(zip(characters, indices, strict=True)) == INDEX_OF
    official = CharacterTokeniser(lowercase=False).encode(captions)
    reference.equal("idx_official", official)
    reference.equal("idx_official_lower", CharacterTokeniser().encode(captions))
    reference.equal("idx_port", CharacterTokeniser(unknown_as="space").encode(captions))
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(official[0]), 71)[:, 1:]
    reference.equal("onehot_first_official", one_hot.numpy())
    assert "(70,201)" in str(reference.take("onehot_shape_note"))
    reference.finish()
