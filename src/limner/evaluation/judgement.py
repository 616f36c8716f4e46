"""What the oracle says of paintings of held-out captions, and of real pictures: made once for several metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.errors import LimnerError
from limner.evaluation import figures
from limner.evaluation.bench import Bench
from limner.evaluation.oracle import Verdicts
from limner.evaluation.oracle_training import held_out_rows
from limner.evaluation.questions import Questions, questions_of


@dataclass
class Judgement:
    """Questions, and what the oracle saw."""

    everything: Questions
    """All questions of the split ..."""
    rows: np.ndarray
    """... and the number of the picture behind each."""
    sample: np.ndarray
    """Which of them were drawn."""
    questions: Questions
    """Those."""
    seeds: list[int]
    paintings: np.ndarray
    """uint8 (N, H, W, 3): a painting of each drawn question's caption."""
    verdicts: Verdicts
    """What the oracle sees in them."""
    unseen: Questions
    """The questions whose real pictures the oracle never saw ..."""
    unseen_verdicts: Verdicts
    """... and what it sees in those pictures."""


def lacks_questions(bench: Bench) -> str | None:
    """Why captions of this split cannot be judged, or None if they can: for ``Metric.needs``."""
    lacking = bench.lacks_attributes()
    if bench.which != "first":
        lacking = "what a caption decides is known of first captions only"
    elif lacking is None:
        try:
            _questions(bench)
        except LimnerError as error:
            return str(error).rstrip(".")
    return lacking


def judgement_of(bench: Bench) -> Judgement:
    """The judgement, made at the first call."""
    return bench.once("judgement", lambda: _judge(bench))


def _questions(bench: Bench) -> tuple[Questions, np.ndarray]:
    return bench.once("questions", lambda: questions_of(bench.pictures, bench.attributes))


def _judge(bench: Bench) -> Judgement:
    everything, rows = _questions(bench)
    oracle = bench.oracle
    sample = figures.drawn(len(everything), bench.samples, bench.seed, "faithfulness captions")
    questions = everything[sample]
    questions.passed_over = everything.passed_over
    requests = bench.requests(questions.captions)
    paintings = bench.paint(requests)
    verdicts = oracle.judge(paintings, progress=bench.progress, what="Judging paintings")
    pixels = bench.pictures.pixels(oracle.config.size)
    unseen = np.flatnonzero(np.isin(rows, held_out_rows(bench.pictures, oracle.config.seed)))
    of_real = oracle.judge(pixels[rows[unseen]], progress=bench.progress, what="Judging real pictures")
    return Judgement(everything, rows, sample, questions, [request.seed for request in requests], paintings, verdicts,
                     everything[unseen], of_real)
