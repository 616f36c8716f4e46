"""The same captions and seeds through several painters, side by side in one picture."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

import limner
from limner.errors import LimnerError
from limner.painting.bundle import Bundle, describe, find, packaged
from limner.painting.painter import load
from limner.painting.painting import Painting
from limner.painting.png import png_path, write_png
from limner.painting.requests import checked_caption, checked_seeds
from limner.painting.sheet import check_grid, grid_story
from limner.systems.protocol import Request
from limner.vision.grid import wrapped

Progress = Callable[[str, int, int], None]

_TIMED = 5
"""Pictures that are painted alone to find the latency, after all others."""

_CELL = 192
_GAP = 12
_MARGIN = 24
_CAPTION_WIDTH = 210
_PAPER, _INK, _FAINT, _RULE, _MOUNT = (255, 255, 255), (30, 30, 30), (125, 125, 125), (215, 215, 215), (244, 243, 240)


@dataclass(frozen=True)
class Column:
    """What one painter made of all captions."""

    label: str
    """Its name; where two painters have the same one, the folder."""
    bundle: Bundle
    paintings: tuple[Painting, ...]
    """One for each row of the comparison."""
    latency: float
    """Seconds from a caption to its picture, painted alone: the median of five."""
    device: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures."""
        return self.paintings[0].image.size


@dataclass(frozen=True)
class Comparison:
    """The same captions and seeds through several painters."""

    rows: tuple[tuple[str, int], ...]
    """Caption and seed of each row."""
    columns: tuple[Column, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values: ``rows``, and ``painters`` each with what is known of it, its latency and the stories of its
        paintings, row by row."""
        return {
            "limner": limner.__version__,
            "rows": [{"caption": caption, "seed": seed} for caption, seed in self.rows],
            "painters": [{**column.bundle.to_json(), "label": column.label, "picture": list(column.size),
                          "device": column.device, "latency_seconds": column.latency,
                          "paintings": [painting.story for painting in column.paintings]} for column in self.columns],
        }


def compare(captions: Sequence[str], models: Sequence[str | Path] = (), *, seeds: Sequence[int] = (0,),
            device: str | None = None, progress: Progress | None = None) -> Comparison:
    """Paints every caption with every seed by every painter.

    Args:
        captions: one or more.
        models: names of packaged bundles, folders of bundles or of runs; none means all packaged bundles.
        seeds: noise; picture 0 of each seed is painted.
        device: as for ``load``.
        progress: called with (title, done, total).

    Raises:
        LimnerError: nothing to paint, a caption or seed that cannot be painted, no such painter, one named twice.
    """
    rows = tuple((checked_caption(caption)[0], seed) for caption in captions for seed in checked_seeds(list(seeds)))
    bundles = [describe(find(model)) for model in models] if models else packaged()
    if not rows:
        raise LimnerError("there is nothing to compare: give a caption.")
    if not bundles:
        raise LimnerError("no painter comes with this installation: name bundles or runs to compare.")
    check_grid(len(rows) * len(bundles))
    requests = [Request(caption, seed, 0) for caption, seed in rows]
    columns = []
    for bundle, label in zip(bundles, _labels(bundles), strict=True):
        if progress:
            progress("painters", len(columns), len(bundles))
        columns.append(_column(bundle, label, requests, device))
    return Comparison(rows, tuple(columns))


def _labels(bundles: list[Bundle]) -> list[str]:
    folders = [bundle.folder.resolve() for bundle in bundles]
    for folder in folders:
        if folders.count(folder) > 1:
            raise LimnerError(f"the painter in {folder} is named twice.")
    names = [bundle.name for bundle in bundles]
    return [name if names.count(name) == 1 else str(bundle.folder.parent if bundle.folder.name == "painter"
                                                    else bundle.folder)
            for name, bundle in zip(names, bundles, strict=True)]


def _column(bundle: Bundle, label: str, requests: list[Request], device: str | None) -> Column:
    painter = load(bundle.folder, device=device)
    paintings = tuple(painter.paint(requests))
    times = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        list(painter.paint(requests[:1]))
        times.append(time.perf_counter() - start)
    return Column(label, bundle, paintings, statistics.median(times), painter.device.type)


def save_comparison(path: str | Path, comparison: Comparison) -> Path:
    """Writes a PNG: a row for each caption and seed, a column for each painter, and the stories of all paintings.

    Small pictures are enlarged to one size without smoothing. Raises LimnerError if the name does not end in .png.
    """
    path = png_path(path)
    paintings = [painting for row in zip(*(column.paintings for column in comparison.columns), strict=True)
                 for painting in row]
    story = grid_story(paintings, columns=len(comparison.columns), labels=[caption for caption, _ in comparison.rows])
    write_png(path, draw_comparison(comparison), story, paintings[0].parameters)
    return path


def draw_comparison(comparison: Comparison) -> Image.Image:
    """The picture of ``save_comparison``."""
    columns = comparison.columns
    cell = max(_CELL, *(side for column in columns for side in column.size))
    name_font, fact_font, caption_font = (ImageFont.load_default(size) for size in (17, 13, 16))
    heads = [wrapped(column.label, name_font, cell, 2) for column in columns]
    head_height = 22 * max(map(len, heads)) + 2 * 18 + 8
    width = 2 * _MARGIN + _CAPTION_WIDTH + len(columns) * (cell + _GAP)
    top = _MARGIN + head_height
    canvas = Image.new("RGB", (width, top + len(comparison.rows) * (cell + _GAP) + _MARGIN + 12), _PAPER)
    draw = ImageDraw.Draw(canvas)
    lefts = [_MARGIN + _CAPTION_WIDTH + _GAP + number * (cell + _GAP) for number in range(len(columns))]
    for left, column, head in zip(lefts, columns, heads, strict=True):
        line = top - 8 - 2 * 18 - 22 * len(head)
        for text in head:
            draw.text((left, line), text, fill=_INK, font=name_font)
            line += 22
        for text in (column.bundle.system, _facts(column)):
            draw.text((left, line), text, fill=_FAINT, font=fact_font)
            line += 18
    several_seeds = len({seed for _, seed in comparison.rows}) > 1
    for number, (caption, seed) in enumerate(comparison.rows):
        if number:
            draw.line((_MARGIN, top - _GAP // 2, width - _MARGIN - 1, top - _GAP // 2), fill=_RULE)
        line = top
        for text in wrapped(caption, caption_font, _CAPTION_WIDTH - _GAP, cell // 22 - several_seeds):
            draw.text((_MARGIN, line), text, fill=_INK, font=caption_font)
            line += 22
        if several_seeds:
            draw.text((_MARGIN, line + 2), f"seed {seed}", fill=_FAINT, font=fact_font)
        for left, column in zip(lefts, columns, strict=True):
            draw.rectangle((left, top, left + cell - 1, top + cell - 1), fill=_MOUNT)
            shown = _enlarged(column.paintings[number].image, cell)
            canvas.paste(shown, (left + (cell - shown.width) // 2, top + (cell - shown.height) // 2))
        top += cell + _GAP
    draw.text((_MARGIN, top), _footer(comparison, several_seeds), fill=_FAINT, font=fact_font)
    return canvas


def _facts(column: Column) -> str:
    width, height = column.size
    return f"{width} x {height}   {in_milliseconds(column.latency)}   {column.bundle.size / 1e6:.1f} MB"


def _footer(comparison: Comparison, several_seeds: bool) -> str:
    devices = ", ".join(sorted({column.device for column in comparison.columns}))
    seed = "" if several_seeds else f"seed {comparison.rows[0][1]}, "
    return f"{seed}time of one picture painted alone on {devices}, limner {limner.__version__}"


def in_milliseconds(seconds: float) -> str:
    """A time as people read it."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"


def _enlarged(image: Image.Image, side: int) -> Image.Image:
    """Fills the side with sharp pixels: a whole factor beyond it, and from there down to it."""
    factor = -(-side // max(image.size))
    large = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    scale = side / max(large.size)
    return large.resize((round(large.width * scale), round(large.height * scale)), Image.Resampling.BOX)
