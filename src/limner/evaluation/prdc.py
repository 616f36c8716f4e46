"""Precision, recall, density and coverage of painted pictures. Protocols: docs/evaluation.md.

Source: Kynkaanniemi et al. 2019 (precision, recall), Naeem et al. 2020 (density, coverage).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limner.errors import LimnerError
from limner.evaluation import figures
from limner.evaluation.bench import Bench
from limner.evaluation.extractors import by_extractor
from limner.evaluation.metric import Line, Measured

NEIGHBOURS = 5
_CHUNK = 1024


@dataclass(frozen=True)
class Prdc:
    """The four figures."""

    precision: float
    """Share of paintings that lie in the ball of some real picture."""
    recall: float
    """Share of real pictures that lie in the ball of some painting."""
    density: float
    """Mean number of real pictures' balls that a painting lies in, / k; may be above 1."""
    coverage: float
    """Share of real pictures with a painting in their ball."""


def prdc(painted: np.ndarray, real: np.ndarray, *, neighbours: int = NEIGHBOURS) -> Prdc:
    """The figures of features (N, F) and (M, F), both of more than ``neighbours`` rows.

    A picture's ball reaches to its k-th nearest neighbour of its own kind; what lies on its rim is outside. Distances
    are Euclidean, in float64. Raises LimnerError for too few rows.
    """
    if min(len(painted), len(real)) <= neighbours:
        raise LimnerError(f"precision and recall with {neighbours} neighbours need more than {neighbours} pictures of "
                          f"both kinds, got {len(painted)} paintings and {len(real)} real ones.")
    fake, true = torch.from_numpy(painted).double(), torch.from_numpy(real).double()
    real_radii, fake_radii = _radii(true, neighbours), _radii(fake, neighbours)
    in_real, covered = [], []
    reached = torch.zeros(len(fake), dtype=torch.float64)
    for start in range(0, len(true), _CHUNK):
        distances = _distances(true[start:start + _CHUNK], fake)
        within = distances < real_radii[start:start + _CHUNK, None]
        reached += within.double().sum(0)
        covered.append(within.any(1))
        in_real.append((distances < fake_radii[None]).any(1))
    return Prdc(precision=(reached > 0).double().mean().item(), recall=torch.cat(in_real).double().mean().item(),
                density=reached.mean().item() / neighbours, coverage=torch.cat(covered).double().mean().item())


def _radii(rows: Tensor, neighbours: int) -> Tensor:
    """float64 (N,): the distance from each row to its k-th nearest other one."""
    found = []
    for start in range(0, len(rows), _CHUNK):
        distances = _distances(rows[start:start + _CHUNK], rows)
        places = torch.arange(len(distances))
        distances[places, places + start] = torch.inf
        found.append(distances.kthvalue(neighbours, 1).values)
    return torch.cat(found)


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """Without the short cut through products, which is not exact for pictures that are the same."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def _measure(bench: Bench, metric: str, extractor: str) -> Measured:
    painted, real = bench.painted_features(extractor), bench.real_features(extractor)
    count = min(len(painted), len(real))
    found = _equally_many(painted, real, bench.seed)
    some, others = bench.real_against_real(extractor)
    ceiling = _equally_many(some, others, bench.seed)
    record = {"protocol": f"{metric}-1", **dataclasses.asdict(found), "samples": count, "real_pictures": count,
              "neighbours": NEIGHBOURS, "features": painted.shape[1],
              "extractor": bench.extractor(extractor).about["hash"], "side": int(bench.paintings.shape[1]),
              "real": {**dataclasses.asdict(ceiling), "pictures": [len(some), len(some)]}}
    fields = [field.name for field in dataclasses.fields(Prdc)]
    lines = [Line(f"{metric} {field}", f"{getattr(found, field):.3f}", "higher",
                  f"{count} paintings and {count} real, {NEIGHBOURS} neighbours", real=f"{getattr(ceiling, field):.3f}")
             for field in fields]
    return Measured(record, lines=lines)


def _equally_many(painted: np.ndarray, real: np.ndarray, seed: int) -> Prdc:
    """The figures of as many rows of both, drawn where there are more: coverage depends on the numbers."""
    count = min(len(painted), len(real))
    return prdc(painted[figures.drawn(len(painted), count, seed, "prdc paintings")],
                real[figures.drawn(len(real), count, seed, "prdc real")])


METRICS = by_extractor("prdc", "prdc-inception", "precision, recall, density and coverage", _measure,
                       least=2 * NEIGHBOURS + 2)
