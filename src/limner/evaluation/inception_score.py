"""The arithmetic of the Inception score (Salimans et al. 2016), on class probabilities of any classifier.

A score says nothing without its classifier: StackGAN's birds and flowers were scored by an Inception-v3 fine-tuned on
the test classes (with the background class taken out of the softmax), COCO by the ImageNet one; neither number compares
with the other, nor with that of another classifier.
"""

from __future__ import annotations

import itertools

import numpy as np

from limner.errors import LimnerError


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
