"""Likelihood: how well captions explain given pictures, for painters that bound it. Protocol: docs/evaluation.md."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from limner.evaluation import figures
from limner.evaluation.bench import Bench
from limner.evaluation.metric import Line, Measured, Metric, Table
from limner.systems.aligndraw.config import AlignDrawConfig
from limner.systems.aligndraw.painter import AlignDrawPainter

PROTOCOL = "likelihood-1"
PICTURES = 500
"""Most pictures of which the bound is taken under their own captions."""
PASSES = 4
"""Passes with fresh noise over which it is averaged."""
CANDIDATES = 100
"""Most pictures that look for their captions among each other's, with one pass."""
RANKS = (1, 5)
_SHOWN = 12
_SHARE = 20
"""Pictures between two reports of progress."""


@dataclass(frozen=True)
class Retrieval:
    """Each of N pictures looks for its caption among the N captions of all, by its bound under each."""

    candidates: int
    """N, the captions that each picture chooses from; several may be right, for they ask for the same."""
    right: float
    """How many of them are right, on average."""
    recall: dict[int, float]
    """rank -> share of pictures that have a right caption among their first so many."""
    chance: dict[int, float]
    """rank -> the same for captions in random order."""
    median_rank: float
    """Of the first right caption, from 1."""
    gap: float
    """Nats by which the bound under a right caption is above that under a wrong one, on average."""


def retrieval(bounds: np.ndarray, kinds: np.ndarray) -> Retrieval:
    """From bounds float64 (N, N) of picture i under caption j, and what the captions ask for, int64 (N,).

    A caption is right for a picture if it asks for what the picture's own asks for. Ties count against the picture.
    ``gap`` is nan where all captions are right.
    """
    right = kinds[:, None] == kinds
    best = np.where(right, bounds, -np.inf).max(1)
    ranks = 1 + (~right & (bounds >= best[:, None])).sum(1)
    wrong = (~right).sum(1)
    means = (np.where(right, bounds, 0).sum(1) / right.sum(1), np.where(right, 0, bounds).sum(1)[wrong > 0]
             / wrong[wrong > 0])
    gap = float((means[0][wrong > 0] - means[1]).mean()) if (wrong > 0).any() else float("nan")
    return Retrieval(
        candidates=len(kinds), right=float(right.sum(1).mean()),
        recall={rank: float((ranks <= rank).mean()) for rank in RANKS},
        chance={rank: float(np.mean([_by_chance(int(count), len(kinds), rank) for count in right.sum(1)]))
                for rank in RANKS},
        median_rank=float(np.median(ranks)), gap=gap)


def _by_chance(right: int, count: int, rank: int) -> float:
    """How often one of the ``right`` among ``count`` things in random order is among the first ``rank``."""
    missed = 1.0
    for place in range(min(rank, count)):
        missed *= max(count - right - place, 0) / (count - place)
    return 1 - missed


def demands(bench: Bench, rows: np.ndarray) -> np.ndarray:
    """What the captions of pictures ask for, as numbers int64 (N,): the attributes that they decide, or, where that is
    not known, the words."""
    records = [bench.pictures.records[row] for row in rows]
    if bench.which != "first" or bench.lacks_attributes() is not None:
        return np.unique([record.captions[0] for record in records], return_inverse=True)[1].ravel()
    attributes = bench.attributes
    asked = np.where(attributes.decided(records, bench.pictures.info), attributes.numbers(records), -1)
    return np.unique(asked, axis=0, return_inverse=True)[1].ravel()


def _needs(bench: Bench) -> str | None:
    if not isinstance(bench.painter.config, AlignDrawConfig):
        return "only alignDRAW and DRAW bound the likelihood of a picture"
    if "recognition" not in bench.painter.components.weights:
        return "this painter was packed without the network that looks at pictures; take the run it comes from"
    return None


def _measure(bench: Bench) -> Measured:
    config = bench.painter.config
    painter = AlignDrawPainter(config, bench.painter.components).to(bench.device)
    pixels = bench.pictures.pixels(config.drawing.image_size)

    def bounds(rows: np.ndarray, captions: list[str], what: str, *, crossed: bool, passes: int) -> np.ndarray:
        shares = np.array_split(np.arange(len(rows)), -(-len(rows) // _SHARE))
        found = []
        for share in shares:
            given = captions if crossed else [captions[place] for place in share]
            found.append(painter.bounds(pixels[rows[share]], given, crossed=crossed, samples=passes,
                                        seed=bench.seed + int(share[0])))
            if bench.progress:
                bench.progress(what, int(share[-1]) + 1, len(rows))
        return np.concatenate(found)

    rows = bench.rows[figures.drawn(len(bench.rows), PICTURES, bench.seed, "likelihood pictures")]
    captions = [bench.pictures.records[row].captions[0] for row in rows]
    own = bounds(rows, captions, "Bounds under own captions", crossed=False, passes=PASSES)
    error = float(own.std(ddof=1) / np.sqrt(len(own)))
    record: dict[str, Any] = {
        "protocol": PROTOCOL, "pictures": len(rows), "passes": PASSES, "unit": "nats a picture",
        "bound": float(own.mean()), "standard_error": error, "deviation": float(own.std(ddof=1)),
        "bits_per_value": float(-own.mean() / np.log(2) / (config.drawing.channels * pixels[0, ..., 0].size))}
    lines = [Line("likelihood", f"{own.mean():.1f} +- {error:.1f}", "higher",
                  f"nats a picture, a lower bound; {len(rows)} pictures, {PASSES} passes each, +- one standard error")]
    if config.captions is None:
        return Measured(record, lines=lines, notes=["This painter reads no captions: they explain nothing."])
    rows = rows[figures.drawn(len(rows), CANDIDATES, bench.seed, "likelihood candidates")]
    captions = [bench.pictures.records[row].captions[0] for row in rows]
    crossed = bounds(rows, captions, "Bounds under all candidates", crossed=True, passes=1)
    found = retrieval(crossed, demands(bench, rows))
    record["retrieval"] = {**dataclasses.asdict(found), "passes": 1}
    for rank in RANKS:
        low, high = figures.interval(round(found.recall[rank] * len(rows)), len(rows))
        lines.append(Line(f"caption recall@{rank}", f"{found.recall[rank]:.1%}", "higher",
                          f"{found.candidates} pictures, as many captions to choose from ({found.right:.1f} of them "
                          f"right); {low:.0%} - {high:.0%}; chance {found.chance[rank]:.1%}"))
    lines.append(Line("caption gap", f"{found.gap:.1f}", "higher", "nats, right captions above wrong ones"))
    return Measured(record, lines=lines, tables=[_ranked(bench, rows, captions, crossed)])


def _ranked(bench: Bench, rows: np.ndarray, captions: list[str], crossed: np.ndarray) -> Table:
    lines = []
    for place in range(min(_SHOWN, len(rows))):
        order = np.argsort(-crossed[place], kind="stable")
        best = [f"{captions[other]} ({crossed[place, other] - crossed[place, place]:+.1f})" for other in order[:3]]
        rank = 1 + int(np.flatnonzero(order == place)[0])
        lines.append([bench.pictures.records[rows[place]].file_name, captions[place], str(rank), "; ".join(best)])
    return Table("captions that explain a picture best (nats above its own caption)",
                 ["picture", "own caption", "its rank", "best three"], lines, left=["own caption", "best three"],
                 page_only=True)


METRICS = {"likelihood": Metric("how likely pictures are under captions, and whether they find their own", _needs,
                                _measure)}
