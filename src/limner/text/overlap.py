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
        self._vocabulary = len(numbers)
        self._counts = torch.tensor([len(row) for row in rows])
        # padded with a number behind the last word's
        width = max(map(len, rows), default=0)
        self._words = torch.tensor([row + [self._vocabulary] * (width - len(row)) for row in rows], dtype=torch.int32)

    def closest(self, captions: Tensor, kinds: Tensor, numbers: Tensor) -> Tensor:
        """For every row the caption, of some, that overlaps most with it and is of another kind.

        Args:
            captions: int64 (B,): the rows' captions.
            kinds: int64 (B,): the rows' classes.
            numbers: uniform in 0..1 (P,): which P captions to choose from.

        Returns:
            int64 (B,). Where all P captions are of a row's own kind, the first of them.
        """
        pool = (numbers.double() * len(self._words)).long()
        shared = self._indicators(captions) @ self._indicators(pool).T
        either = self._counts[captions][:, None] + self._counts[pool] - shared
        overlap = (shared / either.clamp_min(1)).masked_fill(self._kinds[pool] == kinds[:, None], -1.0)
        return pool[overlap.argmax(1)]

    def _indicators(self, captions: Tensor) -> Tensor:
        """1 where a caption has a word, else 0: float32 (captions, vocabulary)."""
        found = torch.zeros(len(captions), self._vocabulary + 1)
        return found.scatter_(1, self._words[captions].long(), 1.0)[:, :-1]
