"""Frechet distance of painted and real pictures in the features of a network. Protocols: docs/evaluation.md.

Only on the standard Inception weights is it called FID. Source: Heusel et al. 2017, section 5; Dowson and Landau 1982.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from limner.errors import LimnerError
from limner.evaluation.bench import Bench
from limner.evaluation.extractors import by_extractor
from limner.evaluation.metric import Line, Measured

LEAST = 4
"""Fewest pictures: both parts of the real ones must have a covariance."""


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance of two normal distributions fitted to features (N, F) and (M, F), N and M at least 2.

    |m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)) with unbiased covariances, in float64. The trace of the root is the sum
    of the singular values of sqrt(C1) sqrt(C2), which are real and not negative whatever the rounding, so nothing is
    added to a diagonal and no imaginary part is dropped. Raises LimnerError for fewer rows or unequal F.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise LimnerError("a Frechet distance needs features (N, F) and (M, F) of at least two pictures each, got "
                          f"{first.shape} and {second.shape}.")
    (mean1, cov1), (mean2, cov2) = _fitted(first), _fitted(second)
    root = torch.linalg.svdvals(_square_root(cov1) @ _square_root(cov2)).sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * root
    return max(0.0, distance.item())


def _fitted(features: np.ndarray) -> tuple[Tensor, Tensor]:
    rows = torch.from_numpy(features).double()
    mean = rows.mean(0)
    centred = rows - mean
    return mean, centred.T @ centred / (len(rows) - 1)


def _square_root(covariance: Tensor) -> Tensor:
    """The symmetric root of a symmetric positive matrix; what rounding makes negative counts as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def _measure(bench: Bench, metric: str, extractor: str) -> Measured:
    painted, real = bench.painted_features(extractor), bench.real_features(extractor)
    value = frechet_distance(painted, real)
    some, others = bench.real_against_real(extractor)
    floor = frechet_distance(some, others)
    features = painted.shape[1]
    record = {"protocol": f"{metric}-1", "value": value, "samples": len(painted), "real_pictures": len(real),
              "features": features, "extractor": bench.extractor(extractor).about["hash"],
              "side": int(bench.paintings.shape[1]),
              "real": {"value": floor, "pictures": [len(some), len(others)]}}
    warnings = []
    if len(painted) <= features:
        warnings.append(f"{metric}: {len(painted)} paintings are few for {features} features: it is too large, as it "
                        f"is for {len(some)} real pictures ({floor:.4g}), and compares with figures of as many only.")
    line = Line(metric, f"{value:.4g}", "lower", f"{len(painted)} paintings, {len(real)} real", real=f"{floor:.4g}")
    return Measured(record, lines=[line], warnings=warnings)


METRICS = by_extractor("fd", "fid", "Frechet distance of paintings and real pictures", _measure, least=LEAST)
