"""Frechet distance, kernel distance, precision and recall: by hand, and against others' arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from limner.errors import LimnerError
from limner.evaluation.frechet import frechet_distance
from limner.evaluation.kernel_distance import kernel_distance, squared_mmd
from limner.evaluation.prdc import prdc


def points(rows: int, columns: int, shift: float) -> np.ndarray:
    """Features without a generator, so that figures of other libraries can stand here as numbers."""
    i, j = np.indices((rows, columns))
    return (np.sin(1.3 * i + 0.7 * j * j + shift) + 0.3 * np.cos(0.9 * i * (j + 1)) + 0.1 * shift * j).astype("f4")


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_frechet_distance_by_hand() -> None:
    # means 1 and 4, unbiased variances 2 and 8: (1 - 4)^2 + 2 + 8 - 2 sqrt(16)
    assert frechet_distance(column(0, 2), column(2, 6)) == pytest.approx(11)
    # axes do not mix: variances 2, 18 against 8, 2, equal means: 2 + 8 - 8 + 18 + 2 - 12
    first = np.array([[-1, -3], [1, -3], [-1, 3], [1, 3]]) * np.sqrt(1.5)
    second = np.array([[-2, -1], [2, -1], [-2, 1], [2, 1]]) * np.sqrt(1.5)
    assert frechet_distance(first, second) == pytest.approx(10)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + 5) == pytest.approx(50)


def test_frechet_distance_is_that_of_others() -> None:
    x, y = points(60, 8, 0.0), points(50, 8, 0.4)
    # scipy.linalg.sqrtm 1.17.1 gives ...0721868, torchmetrics 1.9.0 (eigenvalues of the product) ...0722583
    assert frechet_distance(x, y) == pytest.approx(0.242746070722, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(0.242746070722, rel=1e-9)


def test_frechet_distance_of_fewer_rows_than_features() -> None:
    x, y = (points(rows, 40, shift).astype(np.float64) for rows, shift in ((12, 0.0), (15, 0.4)))
    # the trace of the root is the nuclear norm of the product of the centred rows: nothing is singular there
    roots = [(rows - rows.mean(0)) / np.sqrt(len(rows) - 1) for rows in (x, y)]
    by_rows = (((x.mean(0) - y.mean(0)) ** 2).sum() + sum((root**2).sum() for root in roots)
               - 2 * np.linalg.norm(roots[0] @ roots[1].T, "nuc"))
    assert frechet_distance(x, y) == pytest.approx(by_rows, rel=1e-6)
    with pytest.raises(LimnerError, match="two pictures each"):
        frechet_distance(x[:1], y)
    with pytest.raises(LimnerError, match="two pictures each"):
        frechet_distance(x, y[:, :3])


def test_kernel_distance_by_hand() -> None:
    # pairs of 0, 1: (0 + 1)^3; of 1, 2: (2 + 1)^3; across: 1, 1, 8 and 27
    assert squared_mmd(column(0, 1), column(1, 2)) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    # two features halve the products
    doubled = [np.repeat(rows, 2, 1) for rows in (column(0, 1), column(1, 2))]
    assert squared_mmd(*doubled) == pytest.approx(9.5)


def test_kernel_distance_is_that_of_others() -> None:
    x, y = points(60, 8, 0.0), points(50, 8, 0.4)
    # torchmetrics 1.9.0, poly_mmd (which needs equal numbers)
    assert squared_mmd(x[:50], y) == pytest.approx(0.007608301336854861, rel=1e-9)

    def mean(first: np.ndarray, second: np.ndarray, *, same: bool) -> float:
        return float(np.mean([(float(a.astype("f8") @ b.astype("f8")) / 8 + 1) ** 3 for i, a in enumerate(first)
                              for j, b in enumerate(second) if not same or i != j]))

    by_pairs = mean(x, x, same=True) + mean(y, y, same=True) - 2 * mean(x, y, same=False)
    assert squared_mmd(x, y) == pytest.approx(by_pairs, rel=1e-9)


def test_kernel_distance_in_subsets() -> None:
    x, y = points(60, 8, 0.0), points(50, 8, 0.4)
    assert kernel_distance(x[:50], y) == (squared_mmd(x[:50], y), 0.0)
    value, deviation = kernel_distance(x, y, subsets=400, subset=30)
    # each subset is an unbiased estimate of the whole: the mean comes near it
    assert value == pytest.approx(squared_mmd(x, y), abs=4 * deviation / np.sqrt(400))
    assert kernel_distance(x, y, subsets=5, subset=30) == kernel_distance(x, y, subsets=5, subset=30)
    assert kernel_distance(x, y, seed=1, subsets=5, subset=30) != kernel_distance(x, y, subsets=5, subset=30)


def test_prdc_by_hand() -> None:
    # balls to the nearest neighbour. Real 0, 1, 3: radii 1, 1, 2. Painted 0.5, 1.5, 10: radii 1, 1, 8.5
    found = prdc(column(0.5, 1.5, 10), column(0, 1, 3), neighbours=1)
    # 0.5 lies in the balls of 0 and 1, 1.5 in those of 1 and 3, 10 in none
    assert (found.precision, found.density) == (pytest.approx(2 / 3), pytest.approx(4 / 3))
    # 0 and 1 lie in the ball of 0.5; 3 in that of 10 (10 - 8.5 = 1.5); every real ball holds a painting
    assert (found.recall, found.coverage) == (1, 1)
    far = prdc(column(100, 101, 102), column(0, 1, 3), neighbours=1)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
    with pytest.raises(LimnerError, match="more than 5 pictures"):
        prdc(column(1, 2, 3, 4, 5), column(*range(9)))


def test_prdc_one_pair_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = points(60, 8, 0.0), points(50, 8, 0.4)
    x[7] = y[3]  # a painting that is a real picture

    def radius(rows: np.ndarray, row: int) -> float:
        return sorted(np.linalg.norm(rows[row].astype("f8") - other) for i, other in enumerate(rows) if i != row)[4]

    inside = np.array([[np.linalg.norm(a.astype("f8") - b) < radius(y, j) for j, b in enumerate(y)] for a in x])
    reached = [any(np.linalg.norm(a.astype("f8") - b) < radius(x, i) for i, a in enumerate(x)) for b in y]
    found = prdc(x, y)
    assert found.precision == pytest.approx(inside.any(1).mean())
    assert found.density == pytest.approx(inside.sum(1).mean() / 5)
    assert found.coverage == pytest.approx(inside.any(0).mean())
    assert found.recall == pytest.approx(np.mean(reached))
    monkeypatch.setattr("limner.evaluation.prdc._CHUNK", 7)
    assert prdc(x, y) == found
