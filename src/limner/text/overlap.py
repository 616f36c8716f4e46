"""Which captions say nearly the same: the share of words that two captions have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.text.words import split_words


class WordOverlap:
    """Finds, for captions of a fixed list, others of the list that share most of their words.

    The overlap of two captions is the number of different words in both by the number in either (Jaccard index). Such
    captions differ in a word or two, whatever that word means, so telling them apart takes everything a caption says.
    """

    def __init__(self, captions: Sequence[str], kinds: Tensor) -> None:
        """``kinds``: int64 (captions,), the class of each caption."""
        numbers: dict[str, int] = {}
        rows = [sorted({numbers.setdefault(word, len(numbers)) for word in split_words(caption)})
                for caption in captions]
        self._kinds = kinds
        self._counts = torch.tensor([len(row) for row in rows])
        self._starts = self._counts.cumsum(0) - self._counts
        self._words = torch.tensor([word for row in rows for word in row], dtype=torch.int64)

    def closest(self, captions: Tensor, kinds: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """For every row the caption, of some, that overlaps most with it and is of another kind.

        Args:
            captions: int64 (B,): the rows' captions.
            kinds: int64 (B,): the rows' classes.
            numbers: uniform in 0..1 (P,): which P captions to choose from.

        Returns:
            int64 (B,), and bool (B,): False where all P captions are of the row's own kind, so that there is none.
        """
        pool = (numbers.double() * len(self._counts)).long()
        known = self._words_of(captions)[1].unique()
        shared = self._indicators(captions, known) @ self._indicators(pool, known).T
        either = self._counts[captions][:, None] + self._counts[pool] - shared
        differs = self._kinds[pool] != kinds[:, None]
        overlap = (shared / either.clamp_min(1)).masked_fill(~differs, -1.0)
        return pool[overlap.argmax(1)], differs.any(1)

    def _indicators(self, captions: Tensor, known: Tensor) -> Tensor:
        """1 where a caption has a word of ``known`` (sorted), else 0: float32 (captions, known)."""
        rows, words = self._words_of(captions)
        there = torch.isin(words, known)
        found = torch.zeros(len(captions), len(known))
        found[rows[there], torch.searchsorted(known, words[there])] = 1
        return found

    def _words_of(self, captions: Tensor) -> tuple[Tensor, Tensor]:
        """All words of some captions, and for each its caption's place among them."""
        counts = self._counts[captions]
        rows = torch.arange(len(captions)).repeat_interleave(counts)
        places = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        return rows, self._words[self._starts[captions][rows] + places]
