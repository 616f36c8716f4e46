"""Captions in which two words have changed places, and which are wrong for it: what tells which thing has which colour.

"A red star and a blue box" and "a blue star and a red box" have the same words, so whoever is to tell them apart must
know what belongs together. Source of the idea: Yuksekgonul et al. 2023, "When and why vision-language models behave
like bags-of-words", whose swaps follow a grammar; here the captions tell what may be swapped.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch

from limner.randomness import stream
from limner.text.contradiction import Contradictions
from limner.text.words import split_words

_TRIES = 4
_MOST_WORDS = 5000
_LONGEST = 40
_CHUNK = 2048


def swapped_captions(captions: Sequence[str], contradictions: Contradictions, *, seed: int) -> list[str | None]:
    """Of every caption one in which two words have changed places, or None where none will do.

    Four swaps are drawn of those whose neighbouring words all stand together in some caption (so "a red blue star" does
    not come about), and the first is taken that contradicts the picture (so "a beard and a hat" does not become "a hat
    and a beard"). ``contradictions`` were learnt from these captions. Swaps are looked for among the first 40 words and
    the 5,000 most frequent.
    """
    words = [list(split_words(caption)) for caption in captions]
    numbers = _numbered(words)
    tokens = np.zeros((len(words), min(_LONGEST, max(map(len, words), default=0)) + 2), np.int32)
    lengths = np.zeros(len(words), np.int64)
    for caption, said in enumerate(words):
        found = [numbers.get(word, -1) for word in said[: tokens.shape[1] - 2]]
        lengths[caption] = len(found)
        tokens[caption, 1 : len(found) + 1] = found
    swaps = _drawn(tokens, lengths, _together(tokens, len(numbers) + 2), stream(seed, "swaps"))
    best: list[str | None] = [None] * len(words)
    for first, second in swaps.transpose(1, 2, 0):
        tried = [caption for caption in np.flatnonzero(first).tolist() if best[caption] is None]
        texts = [_swapped(words[caption], first[caption] - 1, second[caption] - 1) for caption in tried]
        wrong = contradictions.of_others(texts, torch.tensor(tried, dtype=torch.int64)).tolist()
        for caption, text, is_wrong in zip(tried, texts, wrong, strict=True):
            if is_wrong:
                best[caption] = text
    return best


def _numbered(words: Sequence[Sequence[str]]) -> dict[str, int]:
    """Numbers 1.. of the most frequent words."""
    counts: dict[str, int] = {}
    for word in itertools.chain.from_iterable(words):
        counts[word] = counts.get(word, 0) + 1
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_WORDS]
    return {word: number for number, word in enumerate(kept, 1)}


def _together(tokens: np.ndarray, size: int) -> np.ndarray:
    """bool (size, size): which words follow which; 0 stands for the beginning and the end of a caption, -1, the last,
    for a word that is not known and follows none."""
    found = np.zeros((size, size), bool)
    before, after = tokens[:, :-1].ravel(), tokens[:, 1:].ravel()
    known = (before >= 0) & (after >= 0)
    found[before[known], after[known]] = True
    return found


def _drawn(tokens: np.ndarray, lengths: np.ndarray, together: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 (captions, 4, 2): columns whose words may change places, drawn at random; 0 and 0 where there are no more.
    """
    drawn = np.zeros((len(tokens), _TRIES, 2), np.int64)
    for captions in _chunks(np.argsort(lengths, kind="stable")):
        columns = np.arange(1, lengths[captions].max(initial=0) + 1)
        first, second = (each.ravel() for each in np.meshgrid(columns, columns, indexing="ij"))
        first, second = first[second > first + 1], second[second > first + 1]
        some = tokens[captions]
        a, b = some[:, first], some[:, second]
        fits = (a > 0) & (b > 0) & (a != b)
        for column, word in ((first, b), (second, a)):
            fits &= together[some[:, column - 1], word] & together[word, some[:, column + 1]]
        chances = rng.random(fits.shape) * fits
        for number in range(min(_TRIES, fits.shape[1])):
            best = chances.argmax(1)
            there = np.take_along_axis(chances, best[:, None], 1)[:, 0] > 0
            drawn[captions[there], number] = np.stack([first[best], second[best]], 1)[there]
            np.put_along_axis(chances, best[:, None], 0, 1)
    return drawn


def _chunks(captions: np.ndarray) -> list[np.ndarray]:
    return np.array_split(captions, max(1, len(captions) // _CHUNK))


def _swapped(words: Sequence[str], first: int, second: int) -> str:
    changed = list(words)
    changed[first], changed[second] = words[second], words[first]
    return " ".join(changed)
