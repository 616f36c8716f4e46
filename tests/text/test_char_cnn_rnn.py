"""The convolutional encoders beyond the reference vectors: batches, gradients, refusals, sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.golden.char_cnn_rnn.reference import PRECISIONS, Reference
from tests.text.loops import gated_states, linear, trunk
from tests.text.test_char_cnn_rnn_golden import recurrent_encoder

from limner.errors import LimnerError
from limner.text.char_cnn_rnn import (
    OneHotConvolution,
    TemporalConvolution,
    TemporalMaxPool,
    temporal_convolution_weight,
)
from limner.text.config import PATTERNS, PUBLISHED, Architecture, TextEncoderConfig
from limner.text.encoders import build_text_encoder

SMALL: dict[Architecture, tuple[int, ...]] = {
    "char-cnn-rnn": (6, 7, 5), "char-cnn-rnn-long": (6, 7, 5), "char-cnn-gru": (6, 7, 5),
    "char-cnn-short": (6, 7, 5, 8), "char-cnn-large": (6, 7, 5), "word-cnn-rnn": (6, 7, 5), "word-cnn": (6, 7, 5, 8),
    "word-gru": (6, 10),
}  # fmt: skip


def small(architecture: Architecture) -> TextEncoderConfig:
    length = 201 if PATTERNS[architecture].reads == "characters" else 30
    return TextEncoderConfig(architecture=architecture, widths=SMALL[architecture], length=length, embedding=9)


def captions(length: int, *, vocabulary_size: int = 20, count: int = 6) -> torch.Tensor:
    random = np.random.default_rng(3)
    tokens = random.integers(1, vocabulary_size + 1, (count, length))
    for row in range(1, count):
        tokens[row, random.integers(0, length) :] = 0
    tokens[-1] = 0
    return torch.from_numpy(tokens)


@pytest.mark.parametrize("architecture", PATTERNS)
def test_a_batch_gives_what_its_captions_give_alone(architecture: Architecture) -> None:
    config = small(architecture)
    encoder = build_text_encoder(config, 20, seed=5).double()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(5)  # so that the first weights' small range does not hide the captions
    tokens = captions(config.length)
    together = encoder(tokens)
    alone = torch.cat([encoder(tokens[i : i + 1]) for i in range(len(tokens))])
    assert together.shape == (6, 9)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(encoder(tokens.flip(0)).flip(0), together, rtol=0, atol=1e-12)
    assert (together[0] - together[-1]).abs().max() > 1e-3


def test_the_mean_of_the_gated_states_is_what_is_projected() -> None:
    """The averaged form of the gated encoder, from the recorded states of the last-state form."""
    reference = Reference("enc_hybridlong_gru18_last")
    config = TextEncoderConfig(architecture="char-cnn-gru", widths=(12, 16, 10), length=201, embedding=14)
    encoder = recurrent_encoder(reference, config, 70)
    states = reference.tensor("act/rnn_states")
    expected = states.mean(1) @ reference.tensor("w/emb_proj_w").T + reference.tensor("w/emb_proj_b")
    # The states are recorded in float32.
    torch.testing.assert_close(encoder(reference.tensor("in/idx")), expected, rtol=0, atol=1e-6)


def test_the_averaged_gated_encoder_follows_its_equations() -> None:
    """Against plain loops, which in turn are held to the reference vectors of the last-state form."""
    reference = Reference("enc_hybridlong_gru18_last")
    names = {key[2:-2] for key in reference.arrays if key.startswith("w/") and key.endswith("_b")}
    maps = {
        name: (reference.take(f"w/{name}_w").astype(np.float64), reference.take(f"w/{name}_b").astype(np.float64))
        for name in names
    }
    tokens = reference.take("in/idx").astype(np.int64)
    convolutions = [maps[f"conv{number}"] for number in (1, 2, 3)]
    every = [gated_states(trunk(row, convolutions, (3, 3, 1), 70), maps) for row in tokens]
    last = np.stack([linear(maps["emb_proj"], states[-1]) for states in every])
    assert np.abs(last - reference.take("act/emb")).max() < PRECISIONS["float64"]
    mean = np.stack([linear(maps["emb_proj"], states.mean(0)) for states in every])
    config = TextEncoderConfig(architecture="char-cnn-gru", widths=(12, 16, 10), length=201, embedding=14)
    for precision, tolerance in PRECISIONS.items():
        encoder = recurrent_encoder(Reference(reference.name, precision), config, 70)
        assert np.abs(encoder(torch.from_numpy(tokens)).detach().numpy() - mean).max() < tolerance


def test_the_short_character_encoder_follows_its_equations() -> None:
    """Against plain loops, which in turn are held to the reference vectors of the large form."""
    reference = Reference("enc_charcnn_large")
    tokens = reference.take("in/idx")

    def maps(kind: str, numbers: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        weights = [reference.take(f"w/{number:02}_{kind}_weight").astype(np.float64) for number in numbers]
        biases = [reference.take(f"w/{number:02}_{kind}_bias").astype(np.float64) for number in numbers]
        return list(zip(weights, biases, strict=True))

    convolutions = [
        (temporal_convolution_weight(weight, 4), bias) for weight, bias in maps("TemporalConvolution", (0, 1, 2))
    ]
    joined = [trunk(row, convolutions, (3, 3, 3), 70).ravel() for row in tokens]
    (final,) = maps("Linear", (3,))
    assert np.abs(np.stack([linear(final, row) for row in joined]) - reference.take("act/emb")).max() < 1e-9

    config = TextEncoderConfig(architecture="char-cnn-short", widths=(12, 16, 16, 20), length=201, embedding=14)
    encoder = build_text_encoder(config, 70, seed=2).double()
    for place, (weight, bias) in zip((0, 3, 6), convolutions, strict=True):
        encoder.trunk[place].load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    hidden, last = ((layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in encoder.projection)
    expected = np.stack([linear(last, linear(hidden, row)) for row in joined])
    for precision, tolerance in PRECISIONS.items():
        result = encoder.to(getattr(torch, precision))(torch.from_numpy(tokens)).detach().numpy()
        assert np.abs(result - expected).max() < tolerance


def test_the_one_hot_convolution_is_the_dense_one_with_its_gradients() -> None:
    layer = OneHotConvolution(11, 6, 4).double()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=random)
    tokens = torch.randint(0, 12, (3, 17), generator=random)
    weight, bias = (p.detach().clone().requires_grad_() for p in (layer.weight, layer.bias))
    dense = F.conv1d(F.one_hot(tokens, 12)[..., 1:].double().transpose(1, 2), weight, bias)
    direction = torch.randn(dense.shape, generator=random, dtype=torch.float64)
    fast = layer(tokens)
    (dense * direction).sum().backward()
    (fast * direction).sum().backward()
    torch.testing.assert_close(fast, dense, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.weight.grad, weight.grad, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.bias.grad, bias.grad, rtol=0, atol=1e-12)


def test_channels_last_operations_are_the_one_dimensional_ones_with_their_gradients() -> None:
    random = torch.Generator().manual_seed(4)
    values = torch.randn(3, 5, 17, generator=random, dtype=torch.float64)
    convolution = TemporalConvolution(5, 4, 3, dtype=torch.float64)
    results = []
    for channels_last in (False, True):
        x = values.transpose(1, 2).contiguous().transpose(1, 2) if channels_last else values.clone()
        x.requires_grad_()
        pool = TemporalMaxPool(3, 2) if channels_last else torch.nn.MaxPool1d(3, 2)
        y = pool(convolution(x) if channels_last else F.conv1d(x, convolution.weight, convolution.bias))
        weighted = y * torch.arange(y.numel()).view(y.shape)
        results.append((y, *torch.autograd.grad(weighted.sum(), (x, convolution.weight, convolution.bias))))
    for plain, last in zip(*results, strict=True):
        torch.testing.assert_close(last, plain, rtol=0, atol=1e-10)
    assert results[1][0].transpose(1, 2).is_contiguous()


@pytest.mark.parametrize("bad", [-1, 71])
def test_an_index_outside_the_vocabulary_is_refused(bad: int) -> None:
    encoder = build_text_encoder(small("char-cnn-rnn"), 70)
    tokens = torch.zeros(2, 201, dtype=torch.int64)
    tokens[1, 3] = bad
    with pytest.raises(LimnerError, match=r"indices 0 to 70"):
        encoder(tokens)


@pytest.mark.parametrize("architecture", PATTERNS)
def test_tokens_of_another_length_are_refused(architecture: Architecture) -> None:
    config = small(architecture)
    with pytest.raises(LimnerError, match=rf"\(B, {config.length}\)"):
        build_text_encoder(config, 20)(torch.zeros(2, config.length + 1, dtype=torch.int64))


def test_a_torch7_weight_of_another_kernel_is_refused() -> None:
    with pytest.raises(LimnerError, match=r"kernel 4 needs a weight \(out, 4 \* in\)"):
        temporal_convolution_weight(np.zeros((3, 10)), 4)


def test_first_weights_depend_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first = build_text_encoder(small("word-gru"), 20, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    again, other = (build_text_encoder(small("word-gru"), 20, seed=seed) for seed in (1, 2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert not torch.equal(value, other.state_dict()[name])
        assert 0 < value.abs().max() <= 0.08
    with pytest.raises(LimnerError, match="at least one token"):
        build_text_encoder(small("word-gru"), 0)


@pytest.mark.parametrize(
    ("name", "vocabulary_size", "steps", "parameters"),
    [
        # Counted by hand: kernel * in * out + out per convolution, (in + 1) * out per linear map.
        ("cvpr2016-birds", 70, 8, 107_904 + 786_944 + 524_544 + 2 * 65_792 + 263_168),
        ("icml2016-birds", 70, 18, 107_904 + 786_944 + 1_049_088 + 6 * 262_656 + 525_312),
        ("icml2016-flowers", 70, 8, 107_904 + 786_944 + 1_049_088 + 2 * 262_656 + 525_312),
        ("cvpr2016-char-cnn-short", 70, 6, 71_936 + 262_400 + 262_400 + 1537 * 1024 + 1025 * 1024),
        ("cvpr2016-char-cnn-large", 70, 6, 107_904 + 786_944 + 1_049_088 + 3073 * 1024),
        ("cvpr2016-word-cnn-rnn", 100, 8, 154_112 + 2 * 524_800 + 2 * 262_656 + 525_312),
        ("cvpr2016-word-cnn", 100, 5, 77_056 + 2 * 196_864 + 1281 * 1024 + 1025 * 1024),
    ],
)
def test_published_sizes(name: str, vocabulary_size: int, steps: int, parameters: int) -> None:
    config = PUBLISHED[name]
    encoder = build_text_encoder(config, vocabulary_size)
    assert config.steps == steps
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert encoder(torch.zeros(1, encoder.tokens_per_caption, dtype=torch.int64)).shape == (1, 1024)
