"""What captions ask of their paintings: the attributes that each decides, and their values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.data.pictures import PictureSet
from limner.data.record import Record
from limner.errors import LimnerError
from limner.evaluation.attributes import Attributes


@dataclass
class Questions:
    """Captions, and what a picture of each must show."""

    records: list[Record]
    asked: np.ndarray
    """int64 (N, attributes): class numbers, -1 where unknown."""
    counts: np.ndarray
    """bool (N, attributes): whether the caption decides the attribute, so that it counts."""
    passed_over: int = 0
    """Pictures of the split whose first caption decides no attribute: they ask nothing."""

    @property
    def captions(self) -> list[str]:
        """The first caption of each record."""
        return [record.captions[0] for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, rows: np.ndarray) -> Questions:
        return Questions([self.records[row] for row in rows], self.asked[rows], self.counts[rows])


def questions_of(pictures: PictureSet, attributes: Attributes) -> tuple[Questions, np.ndarray]:
    """The questions that a split asks, and the number of the picture behind each.

    Raises LimnerError if none of its first captions decides an attribute.
    """
    counts = attributes.decided(pictures.records, pictures.info)
    rows = np.flatnonzero(counts.any(1))
    if len(rows) < 2:
        raise LimnerError(
            f"no two pictures of the split {pictures.name!r} have a first caption that names one of their attributes "
            f"({', '.join(attributes.names)}). Name the attributes that the captions decide in dataset.json, as in "
            '"caption_attributes": ["colour", "shape"], or judge another split.')
    everything = Questions(pictures.records, attributes.numbers(pictures.records), counts)
    questions = everything[rows]
    questions.passed_over = len(pictures) - len(rows)
    return questions, rows
