"""Measures a painter by the metrics asked for, and gathers all that is needed to repeat it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import limner
from limner.evaluation.bench import Bench
from limner.evaluation.metric import Gallery, Measured
from limner.evaluation.metrics import chosen
from limner.evaluation.oracle_training import data_key
from limner.painting.painting import recorded

FORMAT = 2


@dataclass
class Evaluation:
    """The figures, and the pictures behind them."""

    bench: Bench
    measured: dict[str, Measured]
    """Metric -> what it found, in the order of the table of metrics."""
    passed_over: dict[str, str]
    """Metric -> why it was not measured; of those that were not asked for by name."""
    record: dict[str, Any]
    """All that the figures depend on: model, data, seed, judges, versions."""
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """One record of plain values."""
        return {**self.record, "metrics": {name: found.record for name, found in self.measured.items()},
                "passed_over": self.passed_over, "warnings": self.warnings}

    @property
    def gallery(self) -> Gallery:
        """Paintings, ranked by the first metric that ranks them, or not at all."""
        for found in self.measured.values():
            if found.gallery is not None:
                return found.gallery
        bench = self.bench
        return Gallery(bench.paintings, bench.captions, [bench.seed + place for place in range(len(bench.captions))])


def evaluate(bench: Bench, metrics: Sequence[str] | None = None) -> Evaluation:
    """Measures.

    Args:
        metrics: names of the table in ``metrics.py``; None for all that the data and the painter allow.

    Raises:
        LimnerError: an unknown metric, or one that cannot be measured here; nothing has been painted then. Or a stage
            or an input that the painter does not have.
    """
    wanted, passed_over = chosen(bench, metrics)
    bench.try_out()
    measured = {name: metric.measure(bench) for name, metric in wanted.items()}
    warnings = [warning for found in measured.values() for warning in found.warnings]
    complaints = bench.complaints
    if complaints:
        warnings.insert(0, f"the painter could not use all of {len(complaints)} different captions, for example: "
                           f"{next(iter(complaints.values()))}")
    return Evaluation(bench, measured, passed_over, _record(bench, list(wanted)), warnings)


def _record(bench: Bench, names: list[str]) -> dict[str, Any]:
    corpus, pictures = bench.corpus, bench.pictures
    return {
        "format": FORMAT,
        "model": vars(bench.painter.model).copy(),
        "data": {"name": corpus.info.get("name") or (corpus.root.name if corpus.root else None),
                 "key": data_key(corpus), "split": pictures.name, "pictures": len(pictures)},
        "asked": names,
        "captions": bench.which,
        "stage": bench.stage,
        "inputs": recorded(bench.inputs),
        "samples": bench.samples,
        "seed": bench.seed,
        "judges": bench.judges,
        "device": bench.device.type,
        "precision": bench.painter.precision,
        "threads": torch.get_num_threads(),
        "versions": {"limner": limner.__version__, "torch": torch.__version__, "numpy": np.__version__,
                     "python": platform.python_version()},
    }
