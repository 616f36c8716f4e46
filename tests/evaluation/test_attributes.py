from __future__ import annotations

import numpy as np
import pytest

from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.errors import LimnerError
from limner.evaluation.attributes import find_attributes

RECORDS = [
    Record("a.png", ("A red ring at the top left", "a ring"), attributes={"colour": "red", "place": "top left"}),
    Record("b.png", ("a bored blue ring",), attributes={"colour": "blue", "place": "top", "kind": "ring"}),
    Record("c.png", ("a ring at the top",), attributes={"colour": "red", "place": "top", "kind": "ring"}),
    Record("d.png", ("nothing is known",)),
]


def _corpus(info: dict | None = None) -> Corpus:
    images = np.zeros((len(RECORDS), 8, 8, 3), np.uint8)
    return Corpus({"train": PictureSet.from_arrays(images, RECORDS)}, info=info)


def test_attributes_become_class_numbers() -> None:
    attributes = find_attributes(_corpus())
    assert attributes.classes == {"colour": ("blue", "red"), "place": ("top", "top left")}
    assert attributes.constant == ("kind",)
    assert attributes.numbers(RECORDS).tolist() == [[1, 1], [0, 0], [1, 0], [-1, -1]]


def test_an_attribute_counts_if_its_words_stand_in_the_first_caption() -> None:
    decided = find_attributes(_corpus()).decided(RECORDS, {})
    assert decided.tolist() == [[True, True], [True, False], [False, True], [False, False]]


def test_the_data_set_may_say_what_captions_decide() -> None:
    attributes = find_attributes(_corpus())
    decided = attributes.decided(RECORDS, {"caption_attributes": ["colour"]})
    assert decided.tolist() == [[True, False], [True, False], [True, False], [False, False]]
    with pytest.raises(LimnerError, match="must be a list of attribute names"):
        attributes.decided(RECORDS, {"caption_attributes": "colour"})


def test_without_attributes_there_is_nothing_to_judge() -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    corpus = Corpus({"train": PictureSet.from_arrays(images, RECORDS[3:])})
    with pytest.raises(LimnerError, match="no attributes to judge"):
        find_attributes(corpus)
