"""The word encoder: padding has no effect, per-word states, gradients."""

from __future__ import annotations

import torch

from limner.text.config import TextEncoderConfig
from limner.text.encoders import build_text_encoder
from limner.text.word_gru import WordGatedEncoder


def encoder_of(length: int) -> WordGatedEncoder:
    config = TextEncoderConfig(architecture="word-gru", widths=(8, 12), length=length, embedding=5)
    encoder = build_text_encoder(config, 9)
    assert isinstance(encoder, WordGatedEncoder)
    return encoder.double()


WORDS = [[3, 1, 4, 1, 5], [9], [], [2, 6, 5]]


def padded(length: int) -> torch.Tensor:
    return torch.tensor([words + [0] * (length - len(words)) for words in WORDS])


def test_longer_padding_changes_nothing() -> None:
    short, long = encoder_of(5), encoder_of(40)
    long.load_state_dict(short.state_dict())
    torch.testing.assert_close(short(padded(5)), long(padded(40)), rtol=0, atol=1e-13)


def test_states_are_those_of_a_gru_over_the_words_alone() -> None:
    encoder = encoder_of(7)
    states, mask = encoder.encode_words(padded(7))
    assert mask.sum(1).tolist() == [5, 1, 0, 3]
    assert states.shape == (4, 7, 12)
    assert mask.dtype == torch.bool
    assert (states[~mask] == 0).all()
    for row, words in enumerate(WORDS):
        if words:
            alone = encoder.recurrence(encoder.embedding(torch.tensor([words])))[0][0]
            torch.testing.assert_close(states[row, : len(words)], alone, rtol=0, atol=1e-13)
            expected = encoder.projection(alone.mean(0))
            torch.testing.assert_close(encoder(padded(7))[row], expected, rtol=0, atol=1e-13)


def test_an_empty_caption_is_the_projection_of_zero() -> None:
    encoder = encoder_of(7)
    assert torch.equal(encoder(padded(7))[2], encoder.projection.bias)


def test_an_empty_step_between_words_keeps_the_words_after_it() -> None:
    states, mask = encoder_of(4).encode_words(torch.tensor([[3, 0, 4, 0]]))
    assert mask.tolist() == [[True, True, True, False]]
    assert (states[0, 2] != 0).all()


def test_every_weight_but_the_empty_row_learns() -> None:
    encoder = encoder_of(5)
    encoder(padded(5)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name
    assert (encoder.embedding.weight.grad[0] == 0).all()
    assert (encoder.embedding.weight[0] == 0).all()
