"""Which captions say something that a picture's own captions exclude, learnt from captions alone."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from limner.text.words import split_words

_MOST_TERMS = 1000
_FEWER_THAN_CHANCE = 0.3
_DEVIATIONS = 3.0
_CHUNK = 4096

Term = tuple[str, ...]
"""One word or two."""


class Contradictions:
    """Words, and pairs of neighbouring words, that exclude one another.

    Two terms exclude one another if pictures have both in their captions far more rarely than chance would have it:
    red and blue do, where pictures show one thing; red and crimson, two words for the same, or red and small do not.
    A caption contradicts a picture if it says a term that none of the picture's captions says and that one of their
    terms excludes. So "a green disc" does not contradict a picture of a large green circle, though it is another
    picture's caption; "a green star" does.

    Only terms of many pictures are known, and only if pictures have several captions each are synonyms told from
    opposites. Where nothing excludes anything, every caption counts as a contradiction.
    """

    def __init__(self, captions: Sequence[str], pictures: Tensor) -> None:
        """``pictures``: int64 (captions,), which picture, 0, 1, 2 ..., each caption is of, in rising order. Everything
        is computed on the device where it lies."""
        terms = [set(_terms(caption)) for caption in captions]
        owners = pictures.tolist()
        counted: Counter[Term] = Counter()
        for _, group in itertools.groupby(zip(owners, terms, strict=True), key=lambda pair: pair[0]):
            counted.update(set().union(*(said for _, said in group)))
        # a term that is expected with another in fewer pictures than this can never be told to exclude it
        frequent = sorted((-count, term) for term, count in counted.items() if count > _DEVIATIONS**2)
        known = [term for _, term in frequent[:_MOST_TERMS]]
        numbers = {term: number for number, term in enumerate(known)}
        said = [sorted(numbers[term] for term in said if term in numbers) for said in terms]
        self._pictures, device = pictures, pictures.device
        self._terms = torch.tensor(list(itertools.chain.from_iterable(said)), dtype=torch.int64, device=device)
        self._starts = torch.tensor([0, *map(len, said)], device=device).cumsum(0)
        self._first = torch.searchsorted(pictures, torch.arange(owners[-1] + 2 if owners else 1, device=device))
        self._excludes = torch.zeros(len(known), len(known), device=device)
        """1 where one term excludes the other."""
        self._excludes = self._exclusions()
        self._any = bool(self._excludes.any())

    def between(self, captions: Tensor, others: Tensor) -> Tensor:
        """bool (B, P): whether the captions ``others`` (P,) contradict the pictures that ``captions`` (B,) are of."""
        if not self._any:
            return torch.ones(len(captions), len(others), dtype=torch.bool, device=captions.device)
        own = self._of_pictures(self._pictures[captions])
        excluded = (own @ self._excludes).clamp_max(1) * (1 - own)
        return excluded @ self._indicators(self._starts[others], self._starts[others + 1]).T > 0

    def _exclusions(self) -> Tensor:
        together, count = torch.zeros_like(self._excludes), len(self._first) - 1
        for chunk in torch.arange(count, device=together.device).split(_CHUNK):
            there = self._of_pictures(chunk)
            together += there.T @ there
        expected = together.diagonal()[:, None] * together.diagonal() / max(1, count)
        return ((together < _FEWER_THAN_CHANCE * expected)
                & (expected - together > _DEVIATIONS * expected.sqrt())).float()

    def _of_pictures(self, pictures: Tensor) -> Tensor:
        """1 where one of a picture's captions says a term: float32 (N, terms)."""
        return self._indicators(self._starts[self._first[pictures]], self._starts[self._first[pictures + 1]])

    def _indicators(self, starts: Tensor, ends: Tensor) -> Tensor:
        """1 where a term stands in a row's range of the list of terms: float32 (rows, terms)."""
        counts = ends - starts
        rows = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        places = torch.arange(len(rows), device=counts.device) + (starts - counts.cumsum(0) + counts)[rows]
        found = torch.zeros(len(counts), len(self._excludes), device=counts.device)
        found[rows, self._terms[places]] = 1
        return found


def _terms(caption: str) -> Iterable[Term]:
    words = list(split_words(caption))
    return itertools.chain(((word,) for word in words), itertools.pairwise(words))
