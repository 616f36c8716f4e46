"""Captions as words: splitting, a vocabulary counted from training captions, and the tokeniser that uses it."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from limner import config
from limner.errors import LimnerError

_WORD = re.compile(r"\w+")

UNKNOWN = 1
"""Index of every word outside the vocabulary. Index 0 is an empty step; words begin at 2."""


def split_words(caption: str) -> Iterator[str]:
    """The words of a caption in reading order: lower-case, then every longest run of letters, digits and underscores.

    The rule of the released word encoders (AttnGAN's ``\\w+``): "Blue-winged, it's 2" is blue, winged, it, s, 2. Unlike
    that code, letters beyond ASCII stay in their word ("cafe" with an accent is one word, not "caf"), and composed and
    decomposed accents count as the same letter (Unicode NFC). Punctuation, emoji and control characters separate words.
    """
    return (match.group() for match in _WORD.finditer(unicodedata.normalize("NFC", caption.lower())))


@dataclass(frozen=True)
class WordTokeniser:
    """Maps a caption to a fixed number of word indices: 0 an empty step, 1 an unknown word, ``words[i]`` is ``i + 2``.

    ``words``: the vocabulary. ``length``: steps per caption; a longer caption is cut (ask ``truncates``), a shorter one
    ends in zeros. The published word encoders read 30 words.
    """

    words: tuple[str, ...]
    length: int = 30

    def __post_init__(self) -> None:
        if self.length < 1:
            raise LimnerError(f"A word tokeniser needs a length of at least 1, got {self.length}.")
        if len(set(self.words)) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise LimnerError(f"The vocabulary holds {twice!r} more than once; each word needs one index.")
        for word in self.words:
            if list(split_words(word)) != [word]:
                raise LimnerError(f"{word!r} in the vocabulary is not one lower-case word; no caption could reach it.")

    @classmethod
    def from_captions(cls, captions: Iterable[str], *, length: int = 30, min_count: int = 1) -> WordTokeniser:
        """Counts the words of training captions and keeps those that occur at least ``min_count`` times.

        The vocabulary is ordered by falling count, then alphabetically, so it does not depend on the captions' order.
        Raises LimnerError if no word is left.
        """
        counts = Counter(word for caption in captions for word in split_words(caption))
        kept = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
        if not kept:
            raise LimnerError(
                f"No word occurs at least {min_count} times in the training captions ({len(counts)} different words "
                "seen); check the captions or lower the minimum count."
            )
        return cls(tuple(kept), length)

    @property
    def vocabulary_size(self) -> int:
        """The highest index (the unknown word included); the encoder's one-hot width."""
        return len(self.words) + 1

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Index 2.. of each word of the vocabulary."""
        return {word: index for index, word in enumerate(self.words, start=2)}

    def encode(self, captions: Sequence[str]) -> np.ndarray:
        """The indices of each caption: int64 ``(N, length)``, values 0..vocabulary_size. Any text is accepted."""
        tokens = np.zeros((len(captions), self.length), dtype=np.int64)
        for row, caption in zip(tokens, captions, strict=True):
            words = itertools.islice(split_words(caption), self.length)
            indices = [self.index_of.get(word, UNKNOWN) for word in words]
            row[: len(indices)] = indices
        return tokens

    def unknown(self, caption: str) -> list[str]:
        """Every word of the whole caption that is not in the vocabulary, in reading order, repeats included."""
        return [word for word in split_words(caption) if word not in self.index_of]

    def truncates(self, caption: str) -> bool:
        """Whether ``encode`` leaves out the end of this caption."""
        return next(itertools.islice(split_words(caption), self.length, None), None) is not None

    def to_json(self) -> dict[str, Any]:
        return {"kind": "words", **config.to_json(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> WordTokeniser:
        """The inverse of ``to_json``. Raises LimnerError that names a wrong field."""
        fields = {name: item for name, item in value.items() if name != "kind"}
        return config.from_json(cls, fields, where="tokeniser")
