"""R-precision: does a painting find its own caption among others? Protocol: docs/evaluation.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from limner.evaluation.bench import Bench
from limner.evaluation.extractors import lacks_extractor, matching_model
from limner.evaluation.metric import Gallery, Line, Measured, Metric
from limner.matching.damsm.retrieval import FOLDS, r_precision

PROTOCOL = "r-precision-1"


def caption_kinds(captions: list[str], labels: np.ndarray | None) -> np.ndarray:
    """int64 (N,): captions of one kind are no rivals. Classes where the data has them, else equal captions."""
    return np.unique(np.array(captions), return_inverse=True)[1].ravel() if labels is None else labels


def _needs(judge: str) -> Callable[[Bench], str | None]:
    def needs(bench: Bench) -> str | None:
        lacking = lacks_extractor(bench, judge)
        if lacking is None and len(bench.rows) < FOLDS:
            lacking = f"it needs at least {FOLDS} samples and pictures"
        captions = [record.captions[0] for record in bench.pictures.records]
        if lacking is None and len(np.unique(caption_kinds(captions, bench.pictures.labels))) < 2:
            lacking = "it needs captions of at least two classes"
        return lacking
    return needs


def _measure(bench: Bench, judge: str) -> Measured:
    model = matching_model(bench, judge)
    bench.judges[judge] = model.about
    captions = [record.captions[0] for record in bench.pictures.records]
    kinds = caption_kinds(captions, bench.pictures.labels)
    pool = torch.from_numpy(model.captions(captions))
    own = pool[torch.from_numpy(bench.rows)]
    painted = torch.from_numpy(bench.painted_features(judge))
    real = torch.from_numpy(bench.real_features(judge)[bench.rows])
    rows = kinds[bench.rows]
    away = len(rows) // 2  # neighbours are often of one class
    found, ceiling, shuffled = (
        r_precision(images, texts, pool, kinds=own_kinds, pool_kinds=kinds, encoder=str(model.about["run"]),
                    seed=bench.seed)
        for images, texts, own_kinds in ((painted, own, rows), (real, own, rows),
                                         (painted, own.roll(away, 0), np.roll(rows, away))))
    trained_with = judge == "own" or model.trained_with(bench.painter.components.weights)
    record = {**dataclasses.asdict(found), "protocol": PROTOCOL, "similarity": "cosine",
              "rivals": "captions of other classes" if bench.pictures.labels is not None else "other captions",
              "encoder_hash": model.about["hash"], "encoder_trained_with_the_painter": trained_with,
              "real": {"value": ceiling.value, "deviation": ceiling.deviation},
              "shuffled": {"value": shuffled.value, "deviation": shuffled.deviation}}
    warnings = []
    if judge == "judge" and trained_with:
        warnings.append(f"r-precision-judge: {model.about['run']} is the matching model that the painter was trained "
                        "with, which flatters it. Judge with a run of another seed or system.")
    note = (f"{found.images} paintings, 1 caption among {found.candidates}, chance {found.chance:.0%}, "
            f"another painting's caption {shuffled.value:.1%}"
            + ("; judged by the painter's own model" if trained_with else ""))
    line = Line(f"r-precision-{judge}", f"{found.value:.1%} +- {found.deviation:.1%}", "higher", note,
                real=f"{ceiling.value:.1%}")
    scores = functional.cosine_similarity(painted, own, 1).double().numpy()
    gallery = Gallery(bench.paintings, bench.captions, [bench.seed + place for place in range(len(bench.captions))],
                      scores, f"the cosine of painting and caption in the matching model {model.about['run']}")
    return Measured(record, lines=[line], warnings=warnings, gallery=gallery)


METRICS = {
    "r-precision-own": Metric("how often a painting finds its caption, by the run's own matching model", _needs("own"),
                              lambda bench: _measure(bench, "own")),
    "r-precision-judge": Metric("how often a painting finds its caption, by the matching model of another run",
                                _needs("judge"), lambda bench: _measure(bench, "judge")),
}
