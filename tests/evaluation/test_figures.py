from __future__ import annotations

import numpy as np
import pytest

from limner.evaluation import figures


def test_interval_by_hand() -> None:
    # 8 of 10: centre (0.8 + 3.8415/20) / 1.38415, reach 1.96 * sqrt(0.016 + 3.8415/400) / 1.38415
    assert figures.interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert figures.interval(0, 0) == (0.0, 1.0)
    low, high = figures.interval(20, 20)
    assert low == pytest.approx(20 / (20 + 3.841459), abs=1e-6)
    assert high == pytest.approx(1.0)
    assert figures.interval(0, 20)[0] == 0.0


def test_the_interval_holds_the_truth_in_19_of_20_cases() -> None:
    counts = np.random.default_rng(0).binomial(200, 0.93, size=4000)
    held = [low <= 0.93 <= high for low, high in (figures.interval(int(right), 200) for right in counts)]
    assert 0.93 < np.mean(held) < 0.97


def test_chance_by_hand() -> None:
    assert figures.chance(np.array([0, 0, 1, 2])) == pytest.approx(0.25 + 1 / 16 + 1 / 16)
    assert figures.chance(np.array([3, 3])) == 1.0


def test_confusion_by_hand() -> None:
    table = figures.confusion(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2]), ("red", "green", "blue"))
    assert table == {"red": {"red": 1, "green": 2}, "blue": {"blue": 1}}


def test_total_variation_by_hand() -> None:
    assert figures.total_variation(np.array([0.5, 0.5, 0]), np.array([0.25, 0.5, 0.25])) == 0.25
    assert figures.total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1.0


@pytest.mark.parametrize(("count", "times"), [(2, 1), (3, 2), (50, 10)])
def test_others_are_never_oneself_and_never_twice_the_same(count: int, times: int) -> None:
    partners = figures.others(count, 10, np.random.default_rng(0))
    assert partners.shape == (times, count)
    assert all(sorted(row) == list(range(count)) for row in partners)
    everyone = np.vstack([np.arange(count), partners])
    assert all(len(set(column)) == times + 1 for column in everyone.T)


def test_mean_distance_by_hand() -> None:
    points = np.array([[0, 0], [3, 4], [0, 8]], np.float32)
    assert figures.mean_distance(points) == pytest.approx((5 + 8 + 5) / 3)
