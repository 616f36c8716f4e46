"""Paints held-out captions, has the oracle judge them, gathers the figures and all that is needed to repeat them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import limner
from limner.config import to_json
from limner.data.cache import Progress
from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.evaluation import diversity as diversity_measure
from limner.evaluation import faithfulness as faithfulness_measure
from limner.evaluation.attributes import find_attributes
from limner.evaluation.diversity import Diversity, find_groups
from limner.evaluation.faithfulness import Faithfulness, Questions, drawn, questions_of
from limner.evaluation.oracle import Oracle, Verdicts, squashed
from limner.evaluation.oracle_training import data_key, held_out_rows
from limner.painting.painter import Painter
from limner.systems.protocol import Request

SAMPLES = 2000
_TRUSTED = 0.9


@dataclass
class Evaluation:
    """The figures, and the pictures behind them."""

    record: dict[str, Any]
    """What was evaluated, on what, by which oracle: model, data, seed, oracle, versions."""
    faithfulness: Faithfulness
    diversity: Diversity
    warnings: list[str]
    questions: Questions
    pictures: np.ndarray
    """uint8 (N, S, S, 3): the paintings as the oracle saw them."""
    verdicts: Verdicts
    oracle: Oracle

    def to_json(self) -> dict[str, Any]:
        """One record of plain values."""
        return {**self.record, "faithfulness": dataclasses.asdict(self.faithfulness),
                "diversity": dataclasses.asdict(self.diversity), "warnings": self.warnings}


def check_request(corpus: Corpus, *, split: str, samples: int) -> None:
    """Raises LimnerError for what cannot be evaluated: before an oracle is trained for minutes."""
    if samples < 2:
        raise LimnerError(f"samples must be at least 2 (the control needs another caption), got {samples}.")
    questions_of(corpus.split(split), find_attributes(corpus))


def evaluate(painter: Painter, corpus: Corpus, oracle: Oracle, *, split: str = "test", samples: int = SAMPLES,
             seed: int = 0, progress: Progress | None = None) -> Evaluation:
    """Measures faithfulness and diversity of a painter on captions of a split.

    Args:
        oracle: the judge, as ``find_oracle`` gives it for this corpus.
        samples: captions that are painted for faithfulness (fewer if the split has fewer), 2 or more; diversity paints
            8 pictures of at most 100 captions, or of ``samples`` if that is less.
        seed: of the choice of captions and of the paintings: caption n is painted with seed + n.
        progress: as in ``open_corpus``.

    Raises:
        LimnerError: no such split, captions that decide no attribute, too few samples.
    """
    check_request(corpus, split=split, samples=samples)
    pictures = corpus.split(split)
    attributes, size = oracle.attributes, oracle.config.size
    asked, rows = questions_of(pictures, attributes)
    pixels = pictures.pixels(size)

    sample = drawn(len(asked), samples, seed, "faithfulness captions")
    questions = asked[sample]
    questions.passed_over = asked.passed_over
    requests = [Request(caption, seed + place, 0) for place, caption in enumerate(questions.captions)]
    painted, complaints = _paint(painter, requests, size, "Painting held-out captions", progress)
    verdicts = oracle.judge(painted, progress=progress, what="Judging paintings")

    unseen = np.flatnonzero(np.isin(rows, held_out_rows(pictures, oracle.config.seed)))
    real_verdicts = oracle.judge(pixels[rows[unseen]], progress=progress, what="Judging real pictures")
    faithful = faithfulness_measure.faithfulness(questions, verdicts, asked[unseen], real_verdicts, attributes,
                                                 seed=seed)
    left_open = diversity_measure.varieties(questions, verdicts, oracle.judge(pixels[rows[sample]]), attributes)
    diverse = _diversity(painter, oracle, asked, pixels, rows, left_open,
                         most=min(diversity_measure.CAPTIONS, samples), seed=seed, progress=progress)
    record = {
        "format": 1,
        "model": vars(painter.model).copy(),
        "data": {"name": corpus.info.get("name") or (corpus.root.name if corpus.root else None),
                 "key": data_key(corpus), "split": split, "pictures": len(pictures)},
        "seed": seed,
        "oracle": {"hash": oracle.hash, "config": to_json(oracle.config)},
        "settings": {"painter_device": painter.device.type, "oracle_device": oracle.device.type},
        "versions": {"limner": limner.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    return Evaluation(record, faithful, diverse, _warnings(faithful, complaints), questions, painted, verdicts, oracle)


def _diversity(painter: Painter, oracle: Oracle, asked: Questions, pixels: np.ndarray, rows: np.ndarray,
               left_open: dict[str, diversity_measure.Variety], *, most: int, seed: int,
               progress: Progress | None) -> Diversity:
    groups = find_groups(asked, most, seed=seed)
    captions = asked.captions
    per_caption = diversity_measure.PICTURES
    requests = [Request(captions[group.question], seed, index) for group in groups for index in range(per_caption)]
    images, _ = _paint(painter, requests, oracle.config.size, "Painting captions several times", progress)
    of_painted = [per_caption] * len(groups)
    of_real = [len(group.real) for group in groups if len(group.real)]
    real = pixels[rows[np.concatenate([group.real for group in groups])]]
    return diversity_measure.diversity(_grouped(oracle, images, of_painted), _grouped(oracle, real, of_real), left_open)


def _grouped(oracle: Oracle, images: np.ndarray, counts: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures laid end to end, as groups of so many with their features."""
    ends = np.cumsum(counts)[:-1]
    features = oracle.judge(images).features
    return list(zip(np.split(images, ends), np.split(features, ends), strict=True)) if counts else []


def _paint(painter: Painter, requests: Sequence[Request], size: int, what: str, progress: Progress | None
           ) -> tuple[np.ndarray, list[str]]:
    """Paintings uint8 (N, size, size, 3), squashed as they come, and what the painter could not use of captions."""
    complaints = []
    images = np.empty((len(requests), size, size, 3), np.uint8)
    for place, painting in enumerate(painter.paint(requests)):
        images[place] = squashed(painting.array[None], size)[0]
        complaints += painting.warnings[:1]
        if progress:
            progress(what, place + 1, len(requests))
    return images, complaints


def _warnings(result: Faithfulness, complaints: list[str]) -> list[str]:
    warnings = []
    if complaints:
        warnings.append(f"the painter could not use all of {len(complaints)} of {result.samples} captions, "
                        f"for example: {complaints[0]}")
    for name, score in result.attributes.items():
        if score.ceiling is None:
            warnings.append(f"no real picture was left to find the ceiling of {name}: the split is too small.")
        elif score.ceiling < _TRUSTED:
            warnings.append(f"the oracle recognises {name} in only {score.ceiling:.0%} of {score.ceiling_samples} real "
                            "pictures: what it says of paintings is as doubtful. More pictures make it better.")
    return warnings
