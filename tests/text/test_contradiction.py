from __future__ import annotations

import re

import torch

from limner.data.shapes import shapes_arrays
from limner.data.shapes_captions import COLOUR_WORDS, SHAPE_WORDS
from limner.text.contradiction import Contradictions
from limner.text.overlap import WordOverlap


def _learnt(count: int = 200) -> tuple[list[str], Contradictions]:
    """Pictures of one thing, in two wordings each and a third that leaves the colour out."""
    captions = []
    for number in range(count):
        colours, things = (("red", "crimson"), ("blue", "azure"))[number % 2], (("box", "crate"), ("disc", "round"))[
            number // 2 % 2]
        captions += [f"a {colours[0]} {things[0]}", f"one {colours[1]} {things[1]}", f"a {things[0]}"]
    return captions, Contradictions(captions, torch.arange(count).repeat_interleave(3))


def _contradicts(caption: str, other: str) -> bool:
    captions, learnt = _learnt()
    return bool(learnt.between(torch.tensor([captions.index(caption)]), torch.tensor([captions.index(other)])))


def test_opposites_contradict_a_picture_and_synonyms_and_omissions_do_not() -> None:
    for other, expected in (("a blue box", True), ("one azure crate", True), ("a red disc", True), ("a disc", True),
                            ("a red box", False), ("one crimson crate", False), ("a box", False)):
        assert _contradicts("a red box", other) == expected, other


def test_what_another_caption_of_the_picture_says_counts_too() -> None:
    assert _contradicts("a box", "a blue box")  # the first picture with it is red, which this caption does not say


def test_too_few_pictures_exclude_nothing_and_every_caption_counts() -> None:
    learnt = Contradictions(["a red box", "a blue box"] * 4, torch.arange(8))
    assert learnt.between(torch.tensor([0]), torch.tensor([1, 2])).all()


def test_close_captions_of_shapes_are_wrong_in_truth() -> None:
    """Short captions name colour and shape alone, so what is true of which picture is known."""
    _, records = shapes_arrays(3000, size=16, split="train")
    captions = [caption for record in records for caption in record.captions]
    pictures = torch.arange(len(records)).repeat_interleave(5)
    words = {word: value for table in (COLOUR_WORDS, SHAPE_WORDS) for value, names in table.items() for word in names}
    named = {number: caption.split()[1:] for number, caption in enumerate(captions)
             if re.fullmatch(r"an? \w+ \w+", caption) and all(word in words for word in caption.split()[1:])}
    short, draws = torch.tensor(list(named)), torch.rand(1, 512, generator=torch.Generator().manual_seed(0))
    chosen, found = WordOverlap(captions, pictures, pictures).closest(short, pictures[short], draws)
    assert len(short) > 1000
    assert found.all()
    right = [all(words[word] in (records[int(pictures[row])].attributes or {}).values() for word in named[other])
             for row, other in zip(named, chosen[0].tolist(), strict=True) if other in named]
    assert len(right) > 500
    assert sum(right) <= 0.01 * len(right)
