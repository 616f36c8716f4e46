"""Captions as numbers of words, the way DAMSM reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from limner import config
from limner.errors import LimnerError
from limner.text.words import split_words

END = 0
"""Index where there is no word. The word's name in the authors' files is <end>; no caption contains it."""


@dataclass(frozen=True)
class Vocabulary:
    """``words[i]`` has the index ``i + 1``. Words that are not in it are left out of captions.

    ``ascii``: every word is first reduced to its ASCII letters, and dropped if none is left (the authors' code).
    """

    words: tuple[str, ...]
    ascii: bool = False

    @classmethod
    def from_captions(cls, captions: Iterable[str], *, min_count: int = 1, ascii: bool = False) -> Vocabulary:
        """The words that occur at least ``min_count`` times, by falling count, then alphabetically.

        Raises LimnerError if no word is left.
        """
        counts = Counter(word for caption in captions for word in _words(caption, ascii))
        kept = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
        if not kept:
            raise LimnerError(f"no word occurs at least {min_count} times in the captions; check them or lower "
                              "min_count.")
        return cls(tuple(kept), ascii)

    @property
    def size(self) -> int:
        """Number of indices, that of no word included."""
        return len(self.words) + 1

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Index 1.. of each word."""
        return {word: index for index, word in enumerate(self.words, start=1)}

    def read(self, caption: str) -> list[int]:
        """The indices of a caption's known words, in order; may be empty."""
        return [self.index_of[word] for word in _words(caption, self.ascii) if word in self.index_of]

    def known(self, caption: str) -> list[str]:
        """The known words of a caption, in order, as the vocabulary has them."""
        return [word for word in _words(caption, self.ascii) if word in self.index_of]

    def unknown(self, caption: str) -> list[str]:
        """The words of a caption that ``read`` leaves out."""
        return [word for word in _words(caption, self.ascii) if word not in self.index_of]

    def table(self, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """All captions at once: int32 (N, longest), 0 behind a caption's end, and int64 (N,) lengths from 1 up.

        A caption without a known word counts as one empty word.
        """
        read = [self.read(caption) for caption in captions]
        lengths = np.array([max(1, len(indices)) for indices in read], np.int64)
        tokens = np.zeros((len(captions), int(lengths.max(initial=1))), np.int32)
        for row, indices in zip(tokens, read, strict=True):
            row[: len(indices)] = indices
        return tokens, lengths

    def to_json(self) -> dict[str, Any]:
        return config.to_json(self)

    @classmethod
    def from_json(cls, value: Any) -> Vocabulary:
        """The inverse of ``to_json``. Raises LimnerError that names a wrong field."""
        return config.from_json(cls, value, where="vocabulary")


def _words(caption: str, ascii: bool) -> list[str]:
    if not ascii:
        return list(split_words(caption))
    # a pair of replacement characters is a blank (a broken dash in the published captions)
    words = split_words(caption.replace("\ufffd\ufffd", " "))
    reduced = (word.encode("ascii", "ignore").decode("ascii") for word in words)
    return [word for word in reduced if word]


def shorten(tokens: np.ndarray, lengths: np.ndarray, numbers: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Captions of at most ``length`` words: of a longer one a random choice of its words, in their order.

    Args:
        tokens: int (B, longest). ``lengths``: int64 (B,).
        numbers: uniform in 0..1, (B, longest): those that decide the choice.

    Returns:
        int64 (B, T) and int64 (B,), T the longest of the shortened captions.

    Source: the released code, which shuffles the positions and keeps the first; the paper does not tell.
    """
    short = np.minimum(lengths, length)
    steps = int(short.max())
    if (lengths <= length).all():
        return tokens[:, :steps].astype(np.int64), short
    places = np.arange(tokens.shape[1])
    keys = np.where(places < lengths[:, None], numbers, 2.0)
    keys = np.where((lengths <= length)[:, None], places / len(places), keys)
    chosen = np.sort(np.argsort(keys, axis=1, kind="stable")[:, :steps], axis=1)
    kept = np.take_along_axis(tokens, chosen, axis=1).astype(np.int64)
    return np.where(np.arange(steps) < short[:, None], kept, END), short
