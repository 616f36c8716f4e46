"""Diversity: how much paintings of one caption differ, beside real pictures. Protocol: docs/evaluation.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limner.evaluation import figures
from limner.evaluation.attributes import Attributes
from limner.evaluation.bench import Bench
from limner.evaluation.judgement import judgement_of, lacks_questions
from limner.evaluation.metric import Measured, Metric, Table
from limner.evaluation.oracle import Oracle, Verdicts, squashed
from limner.evaluation.questions import Questions
from limner.systems.protocol import Request

PROTOCOL = "diversity-1"
CAPTIONS = 100
"""Captions of which several pictures are painted."""
PICTURES = 8
"""Paintings of each; also the most real pictures of one group that they are held against."""


@dataclass(frozen=True)
class Group:
    """A question, and the real pictures that answer it."""

    question: int
    """Number of the question whose caption is painted."""
    real: np.ndarray
    """Numbers of questions that ask for the same: 2 to ``PICTURES`` of them, or none in the whole data."""


def find_groups(questions: Questions, most: int, *, seed: int = 0) -> list[Group]:
    """Draws at most ``most`` different demands, among those that two or more real pictures answer.

    Where every picture is the only one of its kind, the groups are of any pictures and their ``real`` is empty.
    """
    demands = np.where(questions.counts, questions.asked, -1)
    kinds = np.unique(demands, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(kinds, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(kinds[order])) + 1)
    several = [rows for rows in members if len(rows) > 1]
    chosen = several or members
    groups = []
    for place in figures.drawn(len(chosen), most, seed, "diversity captions"):
        rows = chosen[place]
        rows = rows[figures.drawn(len(rows), PICTURES, seed, f"diversity real {place}")]
        groups.append(Group(int(rows[0]), rows if several else rows[:0]))
    return groups


@dataclass(frozen=True)
class Spread:
    """How far pictures of one demand lie apart, averaged over demands."""

    pixel_deviation: float
    """Root of the mean unbiased variance of a pixel's value (0..1) among pictures of one demand."""
    feature_distance: float
    """Mean Euclidean distance of two pictures of one demand in the features of the oracle."""


@dataclass(frozen=True)
class Variety:
    """The values of an attribute that captions leave open, as the oracle sees them."""

    samples: int
    total_variation: float
    """Between the two lists of shares below, 0..1: 0 for equal ones, 1 for ones that never meet."""
    painted: Mapping[str, float]
    real: Mapping[str, float]


@dataclass(frozen=True)
class Diversity:
    """The figures of the measure. ``real`` and the ratios are None where no two real pictures answer one demand."""

    protocol: str
    captions: int
    pictures: int
    """Paintings of each caption."""
    real_pictures: int
    painted: Spread
    real: Spread | None
    pixel_ratio: float | None
    """painted.pixel_deviation / real.pixel_deviation."""
    diversity_ratio: float | None
    """painted.feature_distance / real.feature_distance."""
    left_open: Mapping[str, Variety]
    """Attributes that captions leave open: mode collapse shows here."""


def spread(groups: list[tuple[np.ndarray, np.ndarray]]) -> Spread:
    """Of groups of pictures uint8 (K, S, S, 3) with their features (K, F), K at least 2, not the same in each.

    Both figures are averages of unbiased estimates, so they do not depend on K.
    """
    variances = [(pixels.astype(np.float64) / 255).var(0, ddof=1).mean() for pixels, _ in groups]
    distances = [figures.mean_distance(features) for _, features in groups]
    return Spread(float(np.sqrt(np.mean(variances))), float(np.mean(distances)))


def diversity(painted: list[tuple[np.ndarray, np.ndarray]], real: list[tuple[np.ndarray, np.ndarray]],
              left_open: Mapping[str, Variety]) -> Diversity:
    """The measure from pictures and features of groups (as ``spread`` takes them); ``real`` may be empty."""
    of_painted, of_real = spread(painted), spread(real) if real else None
    return Diversity(
        protocol=PROTOCOL, captions=len(painted), pictures=len(painted[0][0]),
        real_pictures=sum(len(pixels) for pixels, _ in real), painted=of_painted, real=of_real,
        pixel_ratio=_ratio(of_painted.pixel_deviation, None if of_real is None else of_real.pixel_deviation),
        diversity_ratio=_ratio(of_painted.feature_distance, None if of_real is None else of_real.feature_distance),
        left_open=left_open,
    )


def varieties(questions: Questions, painted: Verdicts, real: Verdicts, attributes: Attributes) -> dict[str, Variety]:
    """What paintings and the real pictures of the same captions show of the attributes that the captions leave open.

    Both are judged by the oracle, so that its own mistakes weigh on both sides alike.
    """
    found = {}
    for column, (name, classes) in enumerate(attributes.classes.items()):
        here = (questions.asked[:, column] >= 0) & ~questions.counts[:, column]
        if not here.any():
            continue
        shares = [np.bincount(verdicts.seen[here, column], minlength=len(classes)) / here.sum()
                  for verdicts in (painted, real)]
        tables = [dict(zip(classes, map(float, share), strict=True)) for share in shares]
        found[name] = Variety(int(here.sum()), figures.total_variation(*shares), *tables)
    return found


def _ratio(painted: float, real: float | None) -> float | None:
    return painted / real if real else None


def _measure(bench: Bench) -> Measured:
    judgement = judgement_of(bench)
    oracle, asked = bench.oracle, judgement.everything
    pixels = bench.pictures.pixels(oracle.config.size)
    of_sample = oracle.judge(pixels[judgement.rows[judgement.sample]])
    left_open = varieties(judgement.questions, judgement.verdicts, of_sample, bench.attributes)
    groups = find_groups(asked, min(CAPTIONS, bench.samples), seed=bench.seed)
    captions = asked.captions
    requests = [Request(captions[group.question], bench.seed, index, bench.inputs)
                for group in groups for index in range(PICTURES)]
    painted = squashed(bench.paint(requests, what="Painting captions several times"), oracle.config.size)
    real = pixels[judgement.rows[np.concatenate([group.real for group in groups])]]
    result = diversity(_grouped(oracle, painted, [PICTURES] * len(groups)),
                       _grouped(oracle, real, [len(group.real) for group in groups if len(group.real)]), left_open)
    return Measured(dataclasses.asdict(result), tables=[_table(result), *_open_table(result)])


METRICS = {"diversity": Metric("how much paintings of one caption differ, beside real pictures", lacks_questions,
                               _measure)}


def _grouped(oracle: Oracle, images: np.ndarray, counts: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures laid end to end, as groups of so many with their features."""
    ends = np.cumsum(counts)[:-1]
    features = oracle.judge(images).features
    return list(zip(np.split(images, ends), np.split(features, ends), strict=True)) if counts else []


def _table(result: Diversity) -> Table:
    painted, real = result.painted, result.real
    rows = [["pixels", f"{painted.pixel_deviation:.4f}", f"{real.pixel_deviation:.4f}" if real else "-",
             _shown(result.pixel_ratio)],
            ["features", f"{painted.feature_distance:.3f}", f"{real.feature_distance:.3f}" if real else "-",
             _shown(result.diversity_ratio)]]
    return Table(f"{result.protocol}: {result.captions} captions, {result.pictures} paintings of each, "
                 f"{result.real_pictures} real pictures", ("spread", "paintings", "real", "ratio"), rows)


def _open_table(result: Diversity) -> list[Table]:
    rows = []
    for name, variety in result.left_open.items():
        most = sorted(variety.real, key=lambda value: -max(variety.painted[value], variety.real[value]))[:8]
        shares = ", ".join(f"{value} {variety.painted[value]:.0%} ({variety.real[value]:.0%})" for value in most)
        rows.append([name, f"{variety.total_variation:.3f}", shares])
    title = "what captions leave open: share of each value in paintings (in real pictures)"
    return [Table(title, ("attribute", "total variation", "values"), rows, left=("values",))] if rows else []


def _shown(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
