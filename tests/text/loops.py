"""The encoders' equations once more, in plain NumPy, one caption at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Map = tuple[np.ndarray, np.ndarray]
"""Weight and bias."""


def linear(weights: Map, x: np.ndarray) -> np.ndarray:
    return weights[0] @ x + weights[1]


def trunk(tokens: np.ndarray, convolutions: Sequence[Map], pools: Sequence[int], symbols: int) -> np.ndarray:
    """Indices (T,) -> (steps, channels). Weights are (out, in, kernel); every pooling is as wide as its stride."""
    rows = np.eye(symbols + 1)[tokens][:, 1:]
    for (weight, bias), pool in zip(convolutions, pools, strict=True):
        kernel = weight.shape[2]
        flat = weight.transpose(0, 2, 1).reshape(len(weight), -1)
        rows = np.stack([flat @ rows[t : t + kernel].ravel() + bias for t in range(len(rows) - kernel + 1)])
        rows = np.where(rows > 1e-6, rows, 0)
        rows = np.stack([rows[t : t + pool].max(0) for t in range(0, len(rows) - pool + 1, pool)])
    return rows


def gated_states(rows: np.ndarray, maps: Mapping[str, Map]) -> np.ndarray:
    """(steps, channels) -> every state of the released gated recurrence; maps by their released names."""
    h = np.tanh(linear(maps["i2h"], rows[0]))
    states = [h]
    for x in rows[1:]:
        u = 1 / (1 + np.exp(-linear(maps["i2h_update"], x) - linear(maps["h2h_update"], h)))
        r = 1 / (1 + np.exp(-linear(maps["i2h_reset"], x) - linear(maps["h2h_reset"], h)))
        h = u * np.tanh(linear(maps["i2h"], x) + linear(maps["h2h"], r * h)) + (1 - u) * h
        states.append(h)
    return np.stack(states)
