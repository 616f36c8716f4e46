"""An evaluation as tables for people, and as a picture of paintings with their verdicts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from limner.evaluation.evaluate import Evaluation
from limner.files import written_atomically
from limner.painting.png import png_path
from limner.randomness import stream
from limner.vision.grid import draw_grid

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS = 6
_CELL = 144
_CONFUSIONS = 3


def tables(evaluation: Evaluation) -> RenderableType:
    """The figures as tables."""
    from rich.console import Group
    from rich.table import Table

    faithful, diverse, record = evaluation.faithfulness, evaluation.diversity, evaluation.record
    model, data = record["model"], record["data"]
    scores_title = (f"{faithful.protocol}: {model['name']} on {faithful.samples} captions of "
                    f"{data['name']}/{data['split']}")
    scores = Table()
    for title in ("attribute", "right", "95 % interval", "ceiling", "of ceiling", "shuffled", "chance", "mostly wrong"):
        scores.add_column(title, justify="left" if title in ("attribute", "mostly wrong") else "right")
    for name, score in (*faithful.attributes.items(), ("all of these", faithful.all_attributes)):
        low, high = score.interval
        scores.add_row(name, _percent(score.accuracy), f"{low:.1%} - {high:.1%}", _percent(score.ceiling),
                       _percent(score.share_of_ceiling), _percent(score.shuffled), _percent(score.chance),
                       _mistakes(faithful.confusion.get(name, {})))
    spread_title = (f"{diverse.protocol}: {diverse.captions} captions, {diverse.pictures} paintings of each, "
                    f"{diverse.real_pictures} real pictures")
    spread = Table()
    for title in ("spread", "paintings", "real", "ratio"):
        spread.add_column(title, justify="left" if title == "spread" else "right")
    real = diverse.real
    spread.add_row("pixels", f"{diverse.painted.pixel_deviation:.4f}", f"{real.pixel_deviation:.4f}" if real else "-",
                   _ratio(diverse.pixel_ratio))
    spread.add_row("features", f"{diverse.painted.feature_distance:.3f}", f"{real.feature_distance:.3f}" if real else
                   "-", _ratio(diverse.diversity_ratio))
    parts: list[RenderableType] = [scores_title, scores, spread_title, spread]
    if diverse.left_open:
        parts += ["what captions leave open: share of each value in paintings (in real pictures)",
                  _left_open(evaluation)]
    if faithful.passed_over:
        parts.append(f"{faithful.passed_over} pictures were passed over: their first caption decides no attribute.")
    if faithful.constant:
        parts.append(f"Not judged, for they have one value only: {', '.join(faithful.constant)}.")
    return Group(*parts)


def _left_open(evaluation: Evaluation) -> RenderableType:
    from rich.table import Table

    table = Table()
    table.add_column("attribute")
    table.add_column("total variation", justify="right")
    table.add_column("values")
    for name, variety in evaluation.diversity.left_open.items():
        most = sorted(variety.real, key=lambda value: -max(variety.painted[value], variety.real[value]))[:8]
        shares = ", ".join(f"{value} {variety.painted[value]:.0%} ({variety.real[value]:.0%})" for value in most)
        table.add_row(name, f"{variety.total_variation:.3f}", shares)
    return table


def _mistakes(confusion: object) -> str:
    """The most frequent confusions of an attribute, in words."""
    assert isinstance(confusion, dict)
    wrong = [(count / sum(row.values()), asked, seen) for asked, row in confusion.items()
             for seen, count in row.items() if seen != asked]
    worst = sorted(wrong, reverse=True)[:_CONFUSIONS]
    return ", ".join(f"{asked} as {seen} {share:.0%}" for share, asked, seen in worst if share >= 0.005)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def certainty(evaluation: Evaluation) -> np.ndarray:
    """How sure the oracle is that a painting shows all its caption asked for: float64 (N,), the least probability."""
    questions, verdicts = evaluation.questions, evaluation.verdicts
    rows = np.arange(len(questions))
    given = [np.where(questions.counts[:, column], table[rows, questions.asked[:, column]], np.inf)
             for column, table in enumerate(verdicts.probabilities)]
    return np.min(given, axis=0).astype(np.float64)


def save_pictures(path: Path, evaluation: Evaluation) -> Path:
    """Writes a PNG with the best, random and worst paintings, each with its caption and verdict.

    Best and worst by ``certainty``; pictures as the oracle saw them. Raises LimnerError if the name does not end
    in .png.
    """
    path = png_path(path)
    order = np.argsort(-certainty(evaluation), kind="stable")
    chosen = stream(evaluation.record["seed"], "evaluation pictures").permutation(len(order))
    bands = [(f"{title} of {len(order)}", rows[:2 * _COLUMNS])
             for title, rows in (("best", order), ("random", chosen), ("worst", order[::-1]))]
    strips = [_strip(evaluation, title, rows) for title, rows in bands]
    canvas = Image.new("RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        canvas.paste(strip, (0, top))
        top += strip.height
    with written_atomically(path) as temporary:
        canvas.save(temporary, "png")
    return path


def _strip(evaluation: Evaluation, title: str, rows: np.ndarray) -> Image.Image:
    cells = [draw_grid(evaluation.pictures[[row]], [f"{title}: {_verdict(evaluation, row)}"], columns=1,
                       least_side=_CELL, font_size=11, lines=6) for row in rows]
    width, height = cells[0].width, max(cell.height for cell in cells)
    strip = Image.new("RGB", (width * _COLUMNS, height * math.ceil(len(cells) / _COLUMNS)), "white")
    for place, cell in enumerate(cells):
        strip.paste(cell, (place % _COLUMNS * width, (place // _COLUMNS + 1) * height - cell.height))
    return strip


def _verdict(evaluation: Evaluation, row: int) -> str:
    """The caption, and what the oracle saw instead."""
    questions, attributes = evaluation.questions, evaluation.oracle.attributes
    seen = evaluation.verdicts.seen[row]
    wrong = [f"{name} {classes[seen[column]]}, not {classes[questions.asked[row, column]]}"
             for column, (name, classes) in enumerate(attributes.classes.items())
             if questions.counts[row, column] and seen[column] != questions.asked[row, column]]
    return f"{questions.captions[row]} | {'wrong: ' + '; '.join(wrong) if wrong else 'right'}"
