"""Kernel distance of painted and real pictures in the features of a network. Protocols: docs/evaluation.md.

Only on the standard Inception weights is it called KID. Source: Binkowski et al. 2018, section 4; Gretton et al. 2012.
"""

from __future__ import annotations

import numpy as np
import torch

from limner.errors import LimnerError
from limner.evaluation.bench import Bench
from limner.evaluation.extractors import by_extractor
from limner.evaluation.metric import Line, Measured
from limner.randomness import stream

SUBSETS = 100
SUBSET = 1000
LEAST = 4


def squared_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of features (N, F) and (M, F), with the kernel (x y / F + 1)^3.

    In float64. May be below 0, for it is unbiased. Raises LimnerError for fewer than two rows or unequal F.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise LimnerError("a kernel distance needs features (N, F) and (M, F) of at least two pictures each, got "
                          f"{first.shape} and {second.shape}.")
    x, y = torch.from_numpy(first).double(), torch.from_numpy(second).double()
    within = sum(_others_mean(rows) for rows in (x, y))
    return within - 2 * (x @ y.T / x.shape[1] + 1).pow(3).mean().item()


def _others_mean(rows: torch.Tensor) -> float:
    """Mean of the kernel over all pairs of different rows."""
    kernel = (rows @ rows.T / rows.shape[1] + 1).pow(3)
    count = len(rows)
    return ((kernel.sum() - kernel.trace()) / (count * (count - 1))).item()


def kernel_distance(painted: np.ndarray, real: np.ndarray, *, seed: int = 0, subsets: int = SUBSETS,
                    subset: int = SUBSET) -> tuple[float, float]:
    """Mean and standard deviation of ``squared_mmd`` over subsets, each drawn without replacement by its address.

    A subset takes ``subset`` rows of both, or as many as the smaller one has. If that is all of both, one subset is
    all there is, and the deviation is 0.
    """
    size = min(subset, len(painted), len(real))
    if size == len(painted) == len(real):
        return squared_mmd(painted, real), 0.0
    values = []
    for number in range(subsets):
        rng = stream(seed, "kernel distance subset", number)
        values.append(squared_mmd(painted[rng.permutation(len(painted))[:size]],
                                  real[rng.permutation(len(real))[:size]]))
    return float(np.mean(values)), float(np.std(values))


def _measure(bench: Bench, metric: str, extractor: str) -> Measured:
    painted, real = bench.painted_features(extractor), bench.real_features(extractor)
    value, deviation = kernel_distance(painted, real, seed=bench.seed)
    some, others = bench.real_against_real(extractor)
    floor, _ = kernel_distance(some, others, seed=bench.seed)
    size = min(SUBSET, len(painted), len(real))
    record = {"protocol": f"{metric}-1", "value": value, "deviation": deviation, "samples": len(painted),
              "real_pictures": len(real), "subsets": SUBSETS, "subset": size, "features": painted.shape[1],
              "extractor": bench.extractor(extractor).about["hash"], "side": int(bench.paintings.shape[1]),
              "real": {"value": floor, "pictures": [len(some), len(others)]}}
    line = Line(metric, f"{value:.4g} +- {deviation:.2g}", "lower", f"{SUBSETS} subsets of {size}", real=f"{floor:.4g}")
    return Measured(record, lines=[line])


METRICS = by_extractor("kd", "kid", "kernel distance of paintings and real pictures", _measure, least=LEAST)
