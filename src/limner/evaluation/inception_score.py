"""The arithmetic of the Inception score (Salimans et al. 2016), on class probabilities of any classifier.

A score says nothing without its classifier: StackGAN's birds and flowers were scored by an Inception-v3 fine-tuned on
the test classes (with the background class taken out of the softmax), COCO by the ImageNet one; neither number compares
with the other, nor with that of another classifier.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from limner.errors import LimnerError
from limner.evaluation.bench import Bench
from limner.evaluation.extractors import lacks_extractor, standard_inception
from limner.evaluation.metric import Line, Measured, Metric
from limner.randomness import stream

SPLITS = 10


def inception_score(probabilities: np.ndarray, *, splits: int = 10) -> tuple[float, float]:
    """Mean and population standard deviation, over ``splits`` parts in order, of exp(mean KL(p(y|x) || p(y))).

    Args:
        probabilities: (N, K), each row a distribution over classes; zeros add nothing.
        splits: parts of N / splits rows, rounded down at both ends, so that no row is left out.

    Raises:
        LimnerError: rows that are no distributions, or fewer rows than splits.
    """
    if probabilities.ndim != 2 or not 1 <= splits <= len(probabilities):
        raise LimnerError(f"the Inception score needs probabilities (N, K) with at least as many rows as splits, "
                          f"got {probabilities.shape} and {splits} splits.")
    rows = probabilities.astype(np.float64)
    if not np.isfinite(rows).all() or (rows < 0).any() or not np.allclose(rows.sum(1), 1, atol=1e-3):
        raise LimnerError("every row of probabilities must be a distribution: numbers from 0 up that sum to 1.")
    edges = [len(rows) * part // splits for part in range(splits + 1)]
    scores = []
    for first, last in itertools.pairwise(edges):
        part = rows[first:last]
        ratio = np.divide(part, part.mean(0), out=np.ones_like(part), where=part > 0)
        scores.append(np.exp((part * np.log(ratio)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def _needs(bench: Bench) -> str | None:
    lacking = lacks_extractor(bench, "inception")
    if lacking is None and len(bench.rows) < SPLITS:
        lacking = f"it needs at least {SPLITS} samples and pictures"
    return lacking


def _measure(bench: Bench) -> Measured:
    network = standard_inception(bench)

    def score(features: np.ndarray) -> tuple[float, float]:
        rows = torch.from_numpy(features[stream(bench.seed, "inception score").permutation(len(features))])
        return inception_score(network.probabilities(rows.to(bench.device)).cpu().numpy(), splits=SPLITS)

    painted, real = bench.painted_features("inception"), bench.real_features("inception")
    (value, deviation), (ceiling, ceiling_deviation) = score(painted), score(real)
    record = {"protocol": "inception-score-1", "value": value, "deviation": deviation, "samples": len(painted),
              "splits": SPLITS, "extractor": bench.extractor("inception").about["hash"],
              "side": int(bench.paintings.shape[1]),
              "real": {"value": ceiling, "deviation": ceiling_deviation, "pictures": len(real)}}
    line = Line("inception-score", f"{value:.3f} +- {deviation:.3f}", "higher",
                f"{len(painted)} paintings in {SPLITS} parts", real=f"{ceiling:.3f}")
    return Measured(record, lines=[line])


METRICS = {"inception-score": Metric("how sure and how various a classifier of ImageNet finds the paintings", _needs,
                                     _measure)}
