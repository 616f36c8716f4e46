"""An evaluation as tables for people, and as a picture of paintings with their verdicts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from limner.evaluation.evaluate import Evaluation
from limner.evaluation.metric import Gallery, Table
from limner.files import written_atomically
from limner.painting.png import png_path
from limner.randomness import stream
from limner.vision.grid import draw_grid

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS = 6
_SHOWN = 2 * _COLUMNS
_CELL = 144


def title(evaluation: Evaluation) -> str:
    """What was measured, in one line."""
    model, data = evaluation.record["model"], evaluation.record["data"]
    return f"{model['name']} ({model['system']}) on {data['name']}/{data['split']}, seed {evaluation.record['seed']}"


def all_tables(evaluation: Evaluation) -> list[Table]:
    """The tables of the metrics, and the table of the figures that have none of their own."""
    found = evaluation.measured.values()
    lines = [[line.name, line.value, line.real, line.better, line.note] for each in found for line in each.lines]
    columns = ("figure", "value", "real pictures", "better", "of what")
    shared = [Table("further figures", columns, lines, left=("better", "of what"))]
    return [table for each in found for table in each.tables] + (shared if lines else [])


def all_notes(evaluation: Evaluation) -> list[str]:
    """Sentences below the tables, with what was not measured and why."""
    notes = [note for found in evaluation.measured.values() for note in found.notes]
    reasons: dict[str, list[str]] = {}
    for name, reason in evaluation.passed_over.items():
        reasons.setdefault(reason, []).append(name)
    return notes + [f"Not measured: {', '.join(names)} ({reason})." for reason, names in reasons.items()]


def tables(evaluation: Evaluation) -> RenderableType:
    """The figures as tables for a terminal."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table as RichTable

    parts: list[RenderableType] = [escape(title(evaluation))]
    for table in all_tables(evaluation):
        if table.page_only:
            continue
        drawn = RichTable()
        for place, column in enumerate(table.columns):
            drawn.add_column(escape(column), justify="left" if place == 0 or column in table.left else "right")
        for row in table.rows:
            drawn.add_row(*map(escape, row))
        parts += [escape(table.title), drawn]
    return Group(*parts, *map(escape, all_notes(evaluation)))


def bands(gallery: Gallery, seed: int) -> list[tuple[str, np.ndarray]]:
    """Which paintings to show: the best, some at random and the worst; without scores only those at random."""
    count = len(gallery.pictures)
    chosen = [("random", stream(seed, "evaluation pictures").permutation(count)[:_SHOWN])]
    if gallery.scores is not None:
        order = np.argsort(-gallery.scores, kind="stable")
        chosen = [("best", order[:_SHOWN]), *chosen, ("worst", order[::-1][:_SHOWN])]
    return chosen


def save_pictures(path: Path, evaluation: Evaluation) -> Path:
    """Writes a PNG with the best, random and worst paintings, each with its caption and verdict.

    Raises LimnerError if the name does not end in .png.
    """
    path = png_path(path)
    gallery = evaluation.gallery
    count = len(gallery.pictures)
    strips = [_strip(gallery, f"{name} of {count}", rows) for name, rows in bands(gallery, evaluation.bench.seed)]
    canvas = Image.new("RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        canvas.paste(strip, (0, top))
        top += strip.height
    with written_atomically(path) as temporary:
        canvas.save(temporary, "png")
    return path


def _strip(gallery: Gallery, band: str, rows: np.ndarray) -> Image.Image:
    cells = []
    for row in rows:
        words = [gallery.captions[row], *([gallery.verdicts[row]] if gallery.verdicts else [])]
        cells.append(draw_grid(gallery.pictures[[row]], [f"{band}: {' | '.join(words)}"], columns=1, least_side=_CELL,
                               font_size=11, lines=6))
    width, height = cells[0].width, max(cell.height for cell in cells)
    strip = Image.new("RGB", (width * _COLUMNS, height * math.ceil(len(cells) / _COLUMNS)), "white")
    for place, cell in enumerate(cells):
        strip.paste(cell, (place % _COLUMNS * width, (place // _COLUMNS + 1) * height - cell.height))
    return strip
