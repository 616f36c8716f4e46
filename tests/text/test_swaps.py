from __future__ import annotations

import numpy as np
import torch

from limner.text.contradiction import Contradictions
from limner.text.swaps import swapped_captions

COLOURS, SHAPES = ("red", "blue", "green"), ("star", "box", "disc")


def _scenes() -> tuple[list[str], torch.Tensor]:
    """Pairs of things of different colours and shapes, each told twice."""
    captions, pictures = [], []
    for number in range(540):
        one, other = divmod(number % 36, 6)
        first, second = COLOURS[one % 3], COLOURS[(one % 3 + 1 + one // 3) % 3]
        thing, beside = SHAPES[other % 3], SHAPES[(other % 3 + 1 + other // 3) % 3]
        captions += [f"a {first} {thing} and a {second} {beside}", f"we see a {second} {beside} by a {first} {thing}"]
        pictures += [number, number]
    return captions, torch.tensor(pictures)


def _swapped(captions: list[str], pictures: torch.Tensor) -> list[str | None]:
    return swapped_captions(captions, Contradictions(captions, pictures), seed=0)


def test_two_words_change_places_and_the_caption_is_wrong_for_it() -> None:
    captions, pictures = _scenes()
    found = _swapped(captions, pictures)
    assert all(text is not None for text in found)
    for caption, text in zip(captions, found, strict=True):
        assert text is not None
        assert sorted(text.split()) == sorted(caption.split())
        assert sum(a != b for a, b in zip(caption.split(), text.split(), strict=True)) == 2
        pairs = [set(zip(each.split(), each.split()[1:], strict=False)) for each in (caption, text)]
        things = [{pair for pair in each if pair[0] in COLOURS} for each in pairs]
        assert things[0].isdisjoint(things[1])  # every thing has the colour of the other
    assert found == _swapped(captions, pictures)


def test_an_order_that_means_nothing_is_no_mistake() -> None:
    captions, pictures = [], []
    chance = np.random.default_rng(0)
    for number in range(400):
        for opening in ("a person with", "somebody has"):
            things = chance.permutation(["hat", "beard"])
            captions.append(f"{opening} a {things[0]} and a {things[1]} in {COLOURS[number % 3]}")
            pictures.append(number)
    assert _swapped(captions, torch.tensor(pictures)) == [None] * 800


def test_where_nothing_excludes_anything_nothing_is_surely_wrong() -> None:
    captions = ["a red star and a blue box", "a blue star and a red box"]
    assert _swapped(captions, torch.tensor([0, 1])) == [None, None]


def test_captions_that_have_no_two_words_to_swap() -> None:
    captions, pictures = _scenes()
    odd = ["", "star", "a red star", "red " * 100, "€ 🙂", " ".join(f"word{number}" for number in range(20_000))]
    found = _swapped(captions + odd, torch.cat([pictures, 540 + torch.arange(len(odd))]))
    assert found[-len(odd):] == [None] * len(odd)
    assert None not in found[: -len(odd)]


def test_no_captions() -> None:
    assert _swapped([], torch.zeros(0, dtype=torch.int64)) == []
