"""What a metric is, and how one is added.

A metric is one entry of one module of this room: a sentence on what it says, what it needs, and a function. A new one
is a new module

    def _needs(bench: Bench) -> str | None:
        return None if bench.painter.system.name == "aligndraw" else "it is a figure of alignDRAW alone"

    def _measure(bench: Bench) -> Measured:
        nats = ...  # bench.painter, bench.pictures, bench.rows, bench.paintings, bench.seed, bench.progress ...
        return Measured({"protocol": "likelihood-1", "pictures": len(bench.rows), "nats": nats},
                        lines=[Line("likelihood", f"{nats:.1f}", "higher", "nats a picture, a lower bound")])

    METRICS = {"likelihood": Metric("how likely given pictures are under their captions", _needs, _measure)}

and one line in the table of ``metrics.py``, ``"likelihood": "likelihood"`` (metric: module). Its protocol goes into
docs/evaluation.md. Nothing else knows of it: command, tables, JSON record and HTML page take it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from limner.evaluation.bench import Bench


@dataclass(frozen=True)
class Metric:
    """One metric; its name is its key in ``METRICS``."""

    summary: str
    """What it says, in a few words."""
    needs: Callable[[Bench], str | None]
    """Why it cannot be measured here, in a few words that say what would help, or None if it can. Quick: it neither
    trains nor paints. A metric that is not asked for by name is measured where this says None."""
    measure: Callable[[Bench], Measured]
    """Measures it. Raises LimnerError for what ``needs`` could not see."""


@dataclass(frozen=True)
class Line:
    """A figure in the table that all metrics share."""

    name: str
    value: str
    better: str = ""
    """``lower``, ``higher`` or nothing."""
    note: str = ""
    """Of what: samples, extractor, unit, interval."""
    real: str = ""
    """What real pictures get under the same protocol, where that means something."""


@dataclass(frozen=True)
class Table:
    """A table of a metric's own, of text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()
    """Columns, besides the first one, that are set to the left; numbers stand to the right."""
    page_only: bool = False
    """Too long for a terminal: the HTML page alone shows it."""
    shaded: bool = False
    """Cells are counts or empty, and the page shades each by its share of its row."""


@dataclass
class Gallery:
    """Paintings with what is to be said of each: the pictures behind the numbers."""

    pictures: np.ndarray
    """uint8 (N, H, W, 3), as painted."""
    captions: list[str]
    seeds: list[int]
    scores: np.ndarray | None = None
    """float64 (N,): how good each is, to find the best and the worst; None if nothing says so."""
    ranked_by: str = ""
    """What the scores are, in words."""
    verdicts: list[str] | None = None
    """A few words on each painting."""


@dataclass
class Measured:
    """What a metric found."""

    record: dict[str, Any]
    """Plain values for JSON: ``protocol``, the figures, and all they depend on that the whole record does not say."""
    lines: list[Line] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences below the tables."""
    warnings: list[str] = field(default_factory=list)
    gallery: Gallery | None = None
    """The paintings, ranked; the first metric that gives one provides the pictures of grid and page."""
