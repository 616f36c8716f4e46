from __future__ import annotations

import torch

from limner.text.overlap import WordOverlap

CAPTIONS = ["a red star", "A red, red box!", "a large blue star at the top", "", "a small blue star at the top",
            "a red star"]


def _closest(row: int, kind: int, pool: list[int], kinds: list[int]) -> int:
    numbers = torch.tensor([(number + 0.5) / len(CAPTIONS) for number in pool])
    overlap = WordOverlap(CAPTIONS, torch.tensor(kinds), torch.arange(6))
    chosen, differs = overlap.closest(torch.tensor([row]), torch.tensor([kind]), numbers[None])
    assert bool(differs) == any(kinds[number] != kind for number in pool)
    return int(chosen)


def test_the_caption_with_most_words_in_common() -> None:
    kinds = [0, 1, 2, 3, 4, 5]
    assert _closest(2, 2, [0, 1, 3, 4], kinds) == 4  # 6 of 8 words
    assert _closest(0, 0, [1, 2, 4], kinds) == 1  # 2 of 4 against 2 of 8
    assert _closest(0, 0, [1, 5], kinds) == 5


def test_captions_of_the_own_class_are_passed_over() -> None:
    assert _closest(0, 0, [5, 1], [0, 1, 2, 3, 4, 0]) == 1
    _closest(0, 0, [5, 0], [0, 1, 2, 3, 4, 0])  # there are no others, and that is told


def test_an_empty_caption_overlaps_with_none() -> None:
    assert _closest(3, 3, [2, 0], [0, 1, 2, 3, 4, 5]) == 2


def test_every_row_chooses_for_itself() -> None:
    overlap = WordOverlap(CAPTIONS, torch.arange(6), torch.arange(6))
    numbers = (torch.arange(6) + 0.5) / 6
    chosen, found = overlap.closest(torch.arange(6), torch.arange(6), torch.stack([numbers, numbers[[1, 2] * 3]]))
    assert chosen.tolist() == [[5, 0, 4, 0, 2, 0], [1, 2, 1, 1, 2, 1]]
    assert found.all()


def test_one_endless_caption_costs_no_memory_for_the_others() -> None:
    endless = " ".join(str(number) for number in range(100_000))
    overlap = WordOverlap(["a red star"] * 2000 + [endless], torch.arange(2001), torch.arange(2001))
    chosen, _ = overlap.closest(torch.tensor([2000, 0]), torch.tensor([2000, 0]), torch.tensor([[0.9999, 0.0, 0.5]]))
    assert chosen.tolist() == [[0, 1000]]
    assert overlap._words.numel() == 100_000 + 2000 * 3


def test_of_the_close_captions_only_those_count_that_contradict_the_picture() -> None:
    captions, pictures = [], []
    for number in range(400):
        colour, shape = ("red", "crimson") if number % 2 else ("blue", "azure"), "star" if number % 4 < 2 else "box"
        captions += [f"a {colour[0]} {shape}", f"a {colour[1]} {shape} here", f"a {shape}"]
        pictures += [number] * 3
    overlap = WordOverlap(captions, torch.tensor(pictures), torch.tensor(pictures))
    row = captions.index("a blue star")
    pool = [captions.index(other, row + 3) for other in ("a blue star", "a star", "a azure star here", "a blue box")]
    numbers = (torch.tensor(pool) + 0.5) / len(captions)
    chosen, found = overlap.closest(torch.tensor([row]), torch.tensor([pictures[row]]),
                                    torch.stack([numbers, numbers[:3].repeat(2)[:4]]))
    assert found[:, 0].tolist() == [True, False]
    assert captions[int(chosen[0])] == "a blue box"
