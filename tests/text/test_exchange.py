from __future__ import annotations

import itertools

from limner.text.exchange import exchangeable_words, recombined_captions
from limner.text.words import split_words

COLOURS, SHAPES, PLACES = ("red", "green", "blue"), ("star", "ring", "cross"), ("top", "bottom")
HELD_OUT = {("red", "star"), ("green", "ring")}
CAPTIONS = [f"A {colour} {shape}, at the {place}" for colour, shape, place in itertools.product(COLOURS, SHAPES, PLACES)
            if (colour, shape) not in HELD_OUT]


def test_words_that_are_used_alike_find_each_other() -> None:
    found = exchangeable_words([tuple(split_words(caption)) for caption in CAPTIONS])
    assert set(found["top"]) == {"bottom"}
    assert set(found["blue"]) == {"red", "green"}
    assert set(found["cross"]) == {"ring", "star"}
    assert "the" not in found


def test_every_new_caption_has_one_word_exchanged_and_is_new() -> None:
    new = recombined_captions(CAPTIONS, seed=0)
    old = {tuple(split_words(caption)) for caption in CAPTIONS}
    changed = [(a, b) for a, b in zip(CAPTIONS, new, strict=True) if a != b]
    assert len(changed) >= 4
    for before, after in changed:
        words = tuple(split_words(after))
        assert words not in old
        assert (words[1], words[2]) in HELD_OUT
        assert sum(a != b for a, b in zip(split_words(before), words, strict=True)) == 1


def test_new_captions_follow_from_the_seed() -> None:
    assert recombined_captions(CAPTIONS, seed=1) == recombined_captions(CAPTIONS, seed=1)
    assert recombined_captions(CAPTIONS, seed=1) != recombined_captions(CAPTIONS, seed=2)


def test_a_caption_without_an_alternative_stays_as_it_is() -> None:
    assert recombined_captions([], seed=0) == []
    assert recombined_captions(["", "Nothing, like this!"], seed=0) == ["", "Nothing, like this!"]
    every = [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]
    assert recombined_captions(every, seed=0) == every  # all combinations are there
