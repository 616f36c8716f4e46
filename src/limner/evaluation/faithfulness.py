"""Faithfulness: how often a painting shows what its caption asked for. Protocol: docs/evaluation.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limner.data.pictures import PictureSet
from limner.data.record import Record
from limner.errors import LimnerError
from limner.evaluation import figures
from limner.evaluation.attributes import Attributes
from limner.evaluation.oracle import Verdicts
from limner.randomness import stream

PROTOCOL = "faithfulness-1"
SHUFFLES = 10
"""Other captions that each painting is judged by in the control."""


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


def drawn(count: int, most: int, seed: int, purpose: str) -> np.ndarray:
    """At most ``most`` of ``count`` places, drawn without replacement, in order; all of them if there are fewer."""
    if most >= count:
        return np.arange(count)
    return np.sort(stream(seed, purpose).permutation(count)[:most])


@dataclass(frozen=True)
class Score:
    """How often something was painted as asked. Shares are 0..1; None where there was nothing to count."""

    samples: int
    """Paintings that were asked for it."""
    accuracy: float | None
    interval: tuple[float, float]
    """95 % confidence interval of the accuracy (Wilson)."""
    ceiling: float | None
    """The same on real pictures that the oracle never saw."""
    ceiling_samples: int
    ceiling_interval: tuple[float, float]
    share_of_ceiling: float | None
    """accuracy / ceiling."""
    shuffled: float | None
    """The control: the same paintings judged by what other captions asked, ten for each."""
    chance: float | None
    """How often two random captions ask for the same: what the control is expected to be near."""


@dataclass(frozen=True)
class Faithfulness:
    """The figures of the measure."""

    protocol: str
    samples: int
    passed_over: int
    """Pictures of the split whose first caption decides no attribute."""
    attributes: Mapping[str, Score]
    all_attributes: Score
    """All attributes that the caption decides are right at once. Its chance is that of asking for the same of all."""
    confusion: Mapping[str, Mapping[str, Mapping[str, int]]]
    """attribute -> asked -> seen -> paintings."""
    constant: tuple[str, ...]
    """Attributes with one value in the whole data set: not judged."""
    undecided: tuple[str, ...]
    """Attributes that no caption here decides: not judged (``diversity`` looks at them)."""


def faithfulness(questions: Questions, verdicts: Verdicts, real: Questions, real_verdicts: Verdicts,
                 attributes: Attributes, *, seed: int = 0) -> Faithfulness:
    """The measure from verdicts.

    Args:
        questions: what was asked, for N paintings (2 or more).
        verdicts: what the oracle saw in the paintings.
        real: what captions of real pictures that the oracle never saw ask for ...
        real_verdicts: ... and what it saw in those pictures: the ceiling.
        seed: of the shuffling of the control.
    """
    partners = figures.others(len(questions), SHUFFLES, stream(seed, "faithfulness control")).ravel()
    right = verdicts.seen == questions.asked
    shuffled = np.tile(verdicts.seen, (len(partners) // len(questions), 1)) == questions.asked[partners]
    real_right = real_verdicts.seen == real.asked
    scores, confusion = {}, {}
    for column, (name, classes) in enumerate(attributes.classes.items()):
        here = questions.counts[:, column]
        if not here.any():
            continue
        asked = questions.asked[here, column]
        scores[name] = _score(right[here, column], real_right[real.counts[:, column], column],
                              shuffled[questions.counts[partners, column], column], figures.chance(asked))
        confusion[name] = figures.confusion(asked, verdicts.seen[here, column], classes)
    demands = np.where(questions.counts, questions.asked, -1)
    everything = _score(_all(right, questions.counts), _all(real_right, real.counts),
                        _all(shuffled, questions.counts[partners]),
                        figures.chance(np.unique(demands, axis=0, return_inverse=True)[1].ravel()))
    undecided = tuple(name for name in attributes.names if name not in scores)
    return Faithfulness(PROTOCOL, len(questions), questions.passed_over, scores, everything, confusion,
                        attributes.constant, undecided)


def _all(right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.all(np.logical_or(right, ~counts), axis=1)


def _score(right: np.ndarray, real_right: np.ndarray, shuffled: np.ndarray, chance: float) -> Score:
    accuracy, ceiling = _mean(right), _mean(real_right)
    return Score(
        samples=len(right), accuracy=accuracy, interval=figures.interval(int(right.sum()), len(right)),
        ceiling=ceiling, ceiling_samples=len(real_right),
        ceiling_interval=figures.interval(int(real_right.sum()), len(real_right)),
        share_of_ceiling=accuracy / ceiling if accuracy is not None and ceiling else None,
        shuffled=_mean(shuffled), chance=chance,
    )


def _mean(flags: np.ndarray) -> float | None:
    return float(flags.mean()) if len(flags) else None
