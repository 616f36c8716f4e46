"""The word tokeniser and its vocabulary."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import LimnerError
from limner.text.tokenisers import tokeniser_from_json
from limner.text.words import WordTokeniser, split_words

ANY_TEXT = st.text(st.characters(codec=None))
CAPTIONS = ["A small red bird.", "a small, blue-winged bird!", "the red ring"]


def test_splitting() -> None:
    assert list(split_words("Blue-winged, it's 2\tbirds_here\N{BIRD}\x00ok")) == [
        "blue", "winged", "it", "s", "2", "birds_here", "ok"
    ]  # fmt: skip
    accent = "\N{COMBINING ACUTE ACCENT}"
    assert list(split_words(f"Cafe{accent}")) == list(split_words("caf\N{LATIN SMALL LETTER E WITH ACUTE}"))
    assert list(split_words("")) == []


def test_vocabulary_is_ordered_by_count_then_alphabet() -> None:
    tokeniser = WordTokeniser.from_captions(CAPTIONS, length=5)
    assert tokeniser.words == ("a", "bird", "red", "small", "blue", "ring", "the", "winged")
    assert WordTokeniser.from_captions(reversed(CAPTIONS), length=5) == tokeniser
    assert tokeniser.vocabulary_size == 9
    assert tokeniser.encode(["A green bird", "", CAPTIONS[1]]).tolist() == [
        [2, 1, 3, 0, 0], [0, 0, 0, 0, 0], [2, 5, 6, 9, 3]
    ]  # fmt: skip
    assert tokeniser.unknown("a green bird, green") == ["green", "green"]
    assert not tokeniser.truncates("one two three four five !")
    assert tokeniser.truncates("one two three four five 6")


def test_minimum_count() -> None:
    assert WordTokeniser.from_captions(CAPTIONS, min_count=2).words == ("a", "bird", "red", "small")
    with pytest.raises(LimnerError, match=r"No word occurs at least 3 times .*8 different"):
        WordTokeniser.from_captions(CAPTIONS, min_count=3)
    with pytest.raises(LimnerError, match="No word"):
        WordTokeniser.from_captions(["", "\N{BIRD}"])


@given(st.lists(ANY_TEXT, min_size=1, max_size=5), st.lists(ANY_TEXT, max_size=4), st.integers(1, 12))
def test_any_text_is_accepted(training: list[str], captions: list[str], length: int) -> None:
    tokeniser = WordTokeniser.from_captions(["a", *training], length=length)
    tokens = tokeniser.encode(captions)
    assert tokens.shape == (len(captions), length)
    assert tokens.dtype == np.int64
    assert ((tokens >= 0) & (tokens <= tokeniser.vocabulary_size)).all()
    for row, caption in zip(tokens, captions, strict=True):
        words = list(split_words(caption))
        assert np.count_nonzero(row) == min(len(words), length)
        assert tokeniser.truncates(caption) == (len(words) > length)
        assert (1 in row[: len(words)]) <= bool(tokeniser.unknown(caption))
    assert 1 not in tokeniser.encode(training)
    assert tokeniser_from_json(json.loads(json.dumps(tokeniser.to_json()))) == tokeniser


def test_very_long_captions_are_fast() -> None:
    captions = ["\N{BIRD} a Bird" * 12_500] * 20  # 100 000 characters each
    start = time.perf_counter()
    tokeniser = WordTokeniser(("a", "bird"))
    assert (tokeniser.encode(captions) > 1).all()
    assert all(tokeniser.truncates(caption) for caption in captions)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("words", "message"),
    [(("a", "b", "a"), "'a' more than once"), (("Bird",), "'Bird'"), (("two words",), "not one lower-case word"),
     (("",), "not one")],
)  # fmt: skip
def test_bad_vocabularies_are_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(LimnerError, match=message):
        WordTokeniser(words)


def test_bad_lengths_are_refused() -> None:
    with pytest.raises(LimnerError, match="length of at least 1"):
        WordTokeniser(("a",), 0)
