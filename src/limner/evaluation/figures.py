"""The arithmetic of the measures, on plain arrays."""

from __future__ import annotations

import numpy as np

from limner.randomness import stream

Z_95 = 1.959964


def interval(right: int, count: int) -> tuple[float, float]:
    """95 % confidence interval (Wilson 1927) of the share ``right`` of ``count``; (0, 1) where nothing is counted."""
    if count == 0:
        return 0.0, 1.0
    share, z2 = right / count, Z_95**2
    middle = share + z2 / (2 * count)
    reach = Z_95 * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    scale = 1 + z2 / count
    return max(0.0, float((middle - reach) / scale)), min(1.0, float((middle + reach) / scale))


def chance(values: np.ndarray) -> float:
    """How often two random entries of ``values`` (class numbers) are equal: the sum of the squared class shares."""
    shares = np.bincount(values) / len(values)
    return float((shares**2).sum())


def confusion(asked: np.ndarray, seen: np.ndarray, classes: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """How often each asked class was seen as each class; counts above 0 only, in the order of the classes."""
    table = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(table, (asked, seen), 1)
    return {classes[row]: {classes[column]: int(table[row, column]) for column in np.flatnonzero(table[row])}
            for row in np.flatnonzero(table.sum(1))}


def total_variation(first: np.ndarray, second: np.ndarray) -> float:
    """Half the sum of the differences of two lists of shares: 0 for equal ones, 1 for ones that never meet."""
    return float(np.abs(first - second).sum() / 2)


def others(count: int, times: int, rng: np.random.Generator) -> np.ndarray:
    """For each of ``count`` (at least 2) places, ``times`` other places, or all others if they are fewer.

    int64 (times, count): each row is a permutation without a fixed place, no two rows agree anywhere.
    """
    order = rng.permutation(count)
    partners = np.empty((min(times, count - 1), count), np.int64)
    for shift, row in enumerate(partners, 1):
        row[order] = np.roll(order, shift)
    return partners


def mean_distance(points: np.ndarray) -> float:
    """Mean Euclidean distance of all pairs of rows of (K, F), K at least 2."""
    first, second = np.triu_indices(len(points), 1)
    return float(np.linalg.norm(points[first].astype(np.float64) - points[second], axis=1).mean())


def drawn(count: int, most: int, seed: int, purpose: str) -> np.ndarray:
    """At most ``most`` of ``count`` places, drawn without replacement, in order; all of them if there are fewer."""
    if most >= count:
        return np.arange(count)
    return np.sort(stream(seed, purpose).permutation(count)[:most])
