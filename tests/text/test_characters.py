"""The character tokeniser on text that nobody expected."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import LimnerError
from limner.text.characters import ALPHABET, CharacterTokeniser
from limner.text.tokenisers import tokeniser_from_json

ANY_TEXT = st.text(st.characters(codec=None))
TOKENISERS = st.builds(
    CharacterTokeniser,
    length=st.integers(1, 40),
    lowercase=st.booleans(),
    unknown_as=st.sampled_from(["empty", "space"]),
)


@given(TOKENISERS, st.lists(ANY_TEXT, max_size=4))
def test_any_text_is_accepted(tokeniser: CharacterTokeniser, captions: list[str]) -> None:
    tokens = tokeniser.encode(captions)
    assert tokens.shape == (len(captions), tokeniser.length)
    assert tokens.dtype == np.int64
    assert ((tokens >= 0) & (tokens <= 70) & (tokens != 37)).all()
    for caption in captions:
        tokeniser.truncates(caption)
        assert all(character not in ALPHABET for character in tokeniser.unknown(caption))


@given(TOKENISERS, ANY_TEXT)
def test_nothing_is_lost_silently(tokeniser: CharacterTokeniser, caption: str) -> None:
    """A caption that is neither cut nor holds unknown characters can be read back from its tokens."""
    if tokeniser.truncates(caption) or tokeniser.unknown(caption):
        return
    read = "".join(ALPHABET[index - 1] for index in tokeniser.encode([caption])[0] if index)
    assert read == (caption.lower() if tokeniser.lowercase else caption)


@given(TOKENISERS, ANY_TEXT)
def test_a_longer_window_only_adds(tokeniser: CharacterTokeniser, caption: str) -> None:
    long = CharacterTokeniser(500, tokeniser.lowercase, tokeniser.unknown_as).encode([caption])[0]
    assert (tokeniser.encode([caption])[0] == long[: tokeniser.length]).all()
    assert long[tokeniser.length :].any() <= tokeniser.truncates(caption)


@given(TOKENISERS)
def test_json_round_trip(tokeniser: CharacterTokeniser) -> None:
    assert tokeniser_from_json(json.loads(json.dumps(tokeniser.to_json()))) == tokeniser


def test_policies() -> None:
    caption = "A\N{KELVIN SIGN}\N{BIRD}-\x07"
    official, space = CharacterTokeniser(12), CharacterTokeniser(12, unknown_as="space")
    assert official.encode([caption])[0].tolist() == [1, *[0] * 7, 60, 0, 0, 0]
    assert space.encode([caption])[0].tolist() == [1, 11, 70, 60, 70, *[0] * 7]
    assert official.unknown(caption) == ["\N{KELVIN SIGN}", "\N{BIRD}", "\x07"]
    assert space.unknown(caption) == ["\N{BIRD}", "\x07"]
    assert CharacterTokeniser(lowercase=False).unknown("a Bad Bird, B") == ["B", "B", "B"]


def test_truncation_counts_bytes_or_characters() -> None:
    assert CharacterTokeniser(4).truncates("caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert not CharacterTokeniser(4, unknown_as="space").truncates("caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert not CharacterTokeniser(4).truncates("cafe")


def test_very_long_captions_are_fast() -> None:
    captions = ["\N{BIRD} a Bird" * 12_500] * 20  # 100 000 characters each
    tokeniser = CharacterTokeniser()
    start = time.perf_counter()
    tokeniser.encode(captions)
    assert all(tokeniser.truncates(caption) for caption in captions)
    assert time.perf_counter() - start < 2


def test_bad_settings_are_refused() -> None:
    with pytest.raises(LimnerError, match="length of at least 1"):
        CharacterTokeniser(0)
    with pytest.raises(LimnerError, match="'empty' or 'space'"):
        CharacterTokeniser(unknown_as="drop")  # type: ignore[arg-type]
    with pytest.raises(LimnerError, match="no field 'size'"):
        tokeniser_from_json({"kind": "characters", "size": 3})
    with pytest.raises(LimnerError, match="'characters' or 'words'"):
        tokeniser_from_json({"kind": "syllables"})
    with pytest.raises(LimnerError, match="'characters' or 'words'"):
        tokeniser_from_json([])
