"""Embeddings whose directions all count alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_FLOOR = 1e-3


def fit_whitening(network: nn.Module, embeddings: Tensor) -> None:
    """Every ``Whitened`` of a network takes the statistics of embeddings (N, size)."""
    for module in network.modules():
        if isinstance(module, Whitened):
            module.fit(embeddings)


class Whitened(nn.Module):
    """Embeddings brought to mean 0 and turned and scaled so that the directions they vary in have equal variance.

    What a text encoder learnt late lies in directions of little variance; a network that reads the embeddings as they
    are would learn it late too. Directions with less than a thousandth of all variance are mostly wording and stay
    small. The mean square of a component is 1, as after standardising.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("matrix", torch.eye(size))

    def fit(self, embeddings: Tensor) -> None:
        """Takes the statistics of embeddings (N, size), N at least 1. Of equal embeddings only the mean is taken."""
        exact = embeddings.double()
        mean = exact.mean(0)
        values, vectors = torch.linalg.eigh((exact - mean).T @ (exact - mean) / len(exact))
        values = values.clamp_min(0)
        self.mean.copy_(mean)
        if values.sum() > 0:
            scale = (values + _FLOOR * values.sum()).rsqrt()
            self.matrix.copy_(vectors * scale * (len(values) / (values * scale**2).sum()).sqrt())

    def forward(self, text: Tensor) -> Tensor:
        """(B, size) to the same shape."""
        return (text - self.mean) @ self.matrix

    def undone(self, whitened: Tensor) -> Tensor:
        """Whitened embeddings (B, size) back to embeddings."""
        return torch.linalg.solve(self.matrix, whitened, left=False) + self.mean
