"""New captions from a data set's own: one word exchanged for another that is used alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from limner.randomness import stream
from limner.text.words import split_words

_MOST_WORDS, _MOST_NEIGHBOURS = 2000, 5000
_ALIKE = 0.6
_TRIES = 8


def exchangeable_words(captions: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Words that are used alike, for every word that has such: they stand between the same neighbours.

    Args:
        captions: the words of every caption.

    Two words are used alike if the counts of their (left neighbour, right neighbour) have a cosine of at least 0.6: so
    colours find each other, and so do shapes, in any language. The 2,000 most frequent words and the 5,000 most
    frequent pairs of neighbours are compared.
    """
    counts = Counter(word for words in captions for word in words)
    company: Counter[tuple[str, str]] = Counter()
    uses: Counter[tuple[str, tuple[str, str]]] = Counter()
    for words in captions:
        framed = ("", *words, "")
        neighbours = list(zip(framed, framed[2:], strict=False))
        company.update(neighbours)
        uses.update(zip(words, neighbours, strict=True))
    rows = {word: i for i, (word, _) in enumerate(counts.most_common(_MOST_WORDS))}
    columns = {pair: i for i, (pair, _) in enumerate(company.most_common(_MOST_NEIGHBOURS))}
    table = np.zeros((len(rows), len(columns)), np.float32)
    for (word, pair), count in uses.items():
        if word in rows and pair in columns:
            table[rows[word], columns[pair]] = count
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1)
    alike = table @ table.T >= _ALIKE
    np.fill_diagonal(alike, False)
    known = list(rows)
    return {word: [known[j] for j in np.flatnonzero(row)] for word, row in zip(known, alike, strict=True) if row.any()}


def recombined_captions(captions: Sequence[str], *, seed: int) -> list[str]:
    """For every caption one that no picture has: a word of it exchanged for another that is used alike.

    Of up to eight draws (a function of ``seed`` and the caption's place) the first that is not among ``captions`` is
    taken, in lower case without punctuation; where there is none, the caption itself.
    """
    split = [tuple(split_words(caption)) for caption in captions]
    others = exchangeable_words(split)
    there = set(split)
    numbers = stream(seed, "recombined-captions").random((len(split), _TRIES, 2))
    return [_recombined(words, others, there, row) or caption
            for caption, words, row in zip(captions, split, numbers, strict=True)]


def _recombined(words: tuple[str, ...], others: dict[str, list[str]], there: set[tuple[str, ...]],
                numbers: np.ndarray) -> str | None:
    places = [i for i, word in enumerate(words) if word in others]
    if not places:
        return None
    for which, what in numbers:
        at = places[int(which * len(places))]
        choice = others[words[at]]
        new = (*words[:at], choice[int(what * len(choice))], *words[at + 1:])
        if new not in there:
            return " ".join(new)
    return None
