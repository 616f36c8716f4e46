"""The attributes of a data set as class numbers, and which of them a caption decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limner.data.pictures import Corpus
from limner.data.record import Record
from limner.errors import LimnerError

CAPTION_ATTRIBUTES = "caption_attributes"
"""Key of dataset.json: the names of the attributes that the first caption of a picture decides."""


@dataclass(frozen=True)
class Attributes:
    """The attributes that can be judged, with their values as classes, both in alphabetical order."""

    classes: Mapping[str, tuple[str, ...]]
    constant: tuple[str, ...] = ()
    """Attributes with one value only: there is nothing to judge."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.classes)

    def numbers(self, records: Sequence[Record]) -> np.ndarray:
        """Class numbers int64 (N, attributes), -1 where a record does not have the attribute."""
        numbers = np.full((len(records), len(self.classes)), -1, np.int64)
        for column, (name, classes) in enumerate(self.classes.items()):
            places = {value: place for place, value in enumerate(classes)}
            for row, record in enumerate(records):
                numbers[row, column] = places.get((record.attributes or {}).get(name, ""), -1)
        return numbers

    def decided(self, records: Sequence[Record], info: Mapping[str, Any]) -> np.ndarray:
        """Which attributes the first caption of each record decides: bool (N, attributes).

        Those that ``caption_attributes`` of dataset.json (``info``) names; without it, those whose value stands in
        the caption, word for word in any case of letters. Raises LimnerError if ``caption_attributes`` is no list.
        """
        known = self.numbers(records) >= 0
        listed = info.get(CAPTION_ATTRIBUTES)
        if listed is not None:
            if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
                raise LimnerError(f"{CAPTION_ATTRIBUTES} in dataset.json must be a list of attribute names, "
                                  f"got {listed!r}.")
            return known & np.array([name in listed for name in self.classes])
        patterns = {value: re.compile(rf"(?<!\w){re.escape(value)}(?!\w)", re.IGNORECASE)
                    for classes in self.classes.values() for value in classes}
        for row, record in enumerate(records):
            for column, name in enumerate(self.classes):
                if known[row, column]:
                    value = (record.attributes or {})[name]
                    known[row, column] = patterns[value].search(record.captions[0]) is not None
        return known


def find_attributes(corpus: Corpus) -> Attributes:
    """The attributes of all splits. Raises LimnerError if no picture has one with two values or more."""
    values: dict[str, set[str]] = {}
    for split in corpus.splits():
        for record in corpus.split(split).records:
            for name, value in (record.attributes or {}).items():
                values.setdefault(name, set()).add(value)
    classes = {name: tuple(sorted(values[name])) for name in sorted(values) if len(values[name]) > 1}
    if not classes:
        raise LimnerError(f"{corpus.root or 'the corpus'} has no attributes to judge paintings by. Give its pictures "
                          'attributes, as in "attributes": {"colour": "red", "shape": "ring"}, each with two values '
                          "or more.")
    return Attributes(classes, tuple(sorted(set(values) - set(classes))))
