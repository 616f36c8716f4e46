"""Which captions say nearly the same: the share of words that two captions have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.text.contradiction import Contradictions
from limner.text.words import split_words


class WordOverlap:
    """Finds, for captions of a fixed list, others that share most of their words and are wrong all the same.

    The overlap of two captions is the number of different words in both by the number in either (Jaccard index). Such
    captions differ in a word or two, whatever that word means, so telling them apart takes everything a caption says.
    Among them are many that are right for both pictures, above all short ones; so only those count that contradict
    the picture (see ``Contradictions``).
    """

    def __init__(self, captions: Sequence[str], kinds: Tensor, pictures: Tensor) -> None:
        """``kinds`` and ``pictures``: int64 (captions,), the class of each caption, and the number of its picture, in
        rising order. Both lie on one device, where everything is computed."""
        self._contradictions = Contradictions(captions, pictures)
        numbers: dict[str, int] = {}
        rows = [sorted({numbers.setdefault(word, len(numbers)) for word in split_words(caption)})
                for caption in captions]
        self._kinds = kinds
        self._counts = torch.tensor([len(row) for row in rows], device=kinds.device)
        self._starts = self._counts.cumsum(0) - self._counts
        self._words = torch.tensor([word for row in rows for word in row], dtype=torch.int64, device=kinds.device)

    def closest(self, captions: Tensor, kinds: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """For every row the caption, of some, that overlaps most with it, of those of another kind that contradict its
        picture.

        Args:
            captions: int64 (B,): the rows' captions.
            kinds: int64 (B,): the rows' classes.
            numbers: uniform in 0..1 (N, P): which P captions to choose from, N times.

        Returns:
            int64 (N, B), and bool (N, B): False where none of the P captions will do.
        """
        pool = (numbers.double() * len(self._counts)).long().flatten()
        known = self._words_of(captions)[1].unique()
        shared = self._indicators(captions, known) @ self._indicators(pool, known).T
        either = self._counts[captions][:, None] + self._counts[pool] - shared
        wrong = (self._kinds[pool] != kinds[:, None]) & self._contradictions.between(captions, pool)
        overlap = (shared / either.clamp_min(1)).masked_fill(~wrong, -1.0).unflatten(1, numbers.shape)
        best, place = overlap.max(2)
        return pool.view(numbers.shape).gather(1, place.T), best.T >= 0

    def _indicators(self, captions: Tensor, known: Tensor) -> Tensor:
        """1 where a caption has a word of ``known`` (sorted), else 0: float32 (captions, known)."""
        rows, words = self._words_of(captions)
        there = torch.isin(words, known)
        found = torch.zeros(len(captions), len(known), device=captions.device)
        found[rows[there], torch.searchsorted(known, words[there])] = 1
        return found

    def _words_of(self, captions: Tensor) -> tuple[Tensor, Tensor]:
        """All words of some captions, and for each its caption's place among them."""
        counts = self._counts[captions]
        rows = torch.arange(len(captions), device=captions.device).repeat_interleave(counts)
        places = torch.arange(len(rows), device=captions.device) - (counts.cumsum(0) - counts)[rows]
        return rows, self._words[self._starts[captions][rows] + places]
