"""The oracle: a small classifier of real pictures that says which attributes a picture shows."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from limner.config import to_json
from limner.data.batch import as_float
from limner.data.cache import Progress
from limner.data.decoding import squash
from limner.errors import LimnerError
from limner.evaluation.attributes import Attributes
from limner.nn.blocks import places_and_largest
from limner.nn.layout import channels_last

ROWS = 64
"""Pictures judged together, always: a verdict does not depend on its company."""

_SMALLEST_MAP = 4


@dataclass(frozen=True)
class OracleConfig:
    """The network and its training. The figures of two evaluations compare only if these are the same."""

    size: int = 64
    """Side in pixels to which every picture, real or painted, is squashed before it is judged: 8, 16, 32, 64 ..."""
    width: int = 24
    """Channels of the first layers; two and four times as many follow."""
    features: int = 256
    """Length of the vector before the heads, in which ``diversity`` measures distances."""
    steps: int = 1000
    batch_size: int = 128
    learning_rate: float = 4e-3
    """The highest rate of the one-cycle schedule of AdamW."""
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 2 * _SMALLEST_MAP or self.size & (self.size - 1):
            raise LimnerError(f"size must be a power of two from {2 * _SMALLEST_MAP} up, got {self.size}.")
        for name in ("width", "features", "steps", "batch_size"):
            if getattr(self, name) < 1:
                raise LimnerError(f"{name} must be at least 1, got {getattr(self, name)}.")


class OracleNetwork(nn.Module):
    """Strided 3x3 convolutions with batch norm down to a 4x4 map, and one head for each attribute.

    The heads see the whole map, and its largest value in each channel.
    """

    def __init__(self, config: OracleConfig, classes: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        halvings = int(math.log2(config.size // _SMALLEST_MAP))
        channels = [3, *(config.width * min(2**level, 4) for level in range(halvings))]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(itertools.pairwise(channels), 1):
            layers += _convolution(before, after, stride=2)
            if level < halvings:
                layers += _convolution(after, after, stride=1)
        self.body = nn.Sequential(*layers)
        self.join = nn.Linear(channels[-1] * (_SMALLEST_MAP**2 + 1), config.features)
        self.heads = nn.ModuleList([nn.Linear(config.features, len(values)) for values in classes.values()])

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures (B, 3, S, S) in -1..1 to features (B, F) and the scores (B, classes) of every attribute."""
        features = self.join(places_and_largest(self.body(images))).relu()
        return features, [head(features) for head in self.heads]


def _convolution(before: int, after: int, *, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


@dataclass
class Verdicts:
    """What the oracle sees in N pictures."""

    probabilities: list[np.ndarray]
    """float32 (N, classes) for every attribute."""
    features: np.ndarray
    """float32 (N, F): the layer before the heads."""

    @property
    def seen(self) -> np.ndarray:
        """int64 (N, attributes): the likeliest class of each attribute."""
        return np.stack([table.argmax(1) for table in self.probabilities], 1)

    def __getitem__(self, rows: slice) -> Verdicts:
        return Verdicts([table[rows] for table in self.probabilities], self.features[rows])


class Oracle:
    """A trained oracle."""

    def __init__(self, config: OracleConfig, attributes: Attributes, network: OracleNetwork,
                 *, device: torch.device | None = None) -> None:
        self.config = config
        self.attributes = attributes
        self.device = device or torch.device("cpu")
        self._network = channels_last(network.eval().to(self.device))

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu() for name, value in self._network.state_dict().items()}

    @property
    def hash(self) -> str:
        """SHA-256 over configuration, classes and weights."""
        description = {"config": to_json(self.config), "classes": self.attributes.classes}
        digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
        for name, value in sorted(self.weights.items()):
            digest.update(name.encode())
            digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def about(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"hash": self.hash, "config": to_json(self.config), "device": self.device.type}

    @torch.inference_mode()
    def judge(self, images: np.ndarray, *, progress: Progress | None = None, what: str = "Judging") -> Verdicts:
        """Judges pictures uint8 (N, H, W, 3) of any side, in float32; N may be 0."""
        probabilities: list[list[np.ndarray]] = [[] for _ in self.attributes.classes]
        features = [np.empty((0, self.config.features), np.float32)]
        for start in range(0, len(images), ROWS):
            share = squashed(images[start:start + ROWS], self.config.size)
            rows = np.concatenate([share, np.repeat(share[-1:], ROWS - len(share), axis=0)])
            vectors, scores = self._network(as_images(torch.from_numpy(rows), self.device))
            features.append(vectors[:len(share)].cpu().numpy())
            for column, table in zip(probabilities, scores, strict=True):
                column.append(table.softmax(1)[:len(share)].cpu().numpy())
            if progress:
                progress(what, min(start + ROWS, len(images)), len(images))
        tables = [np.concatenate([np.empty((0, len(classes)), np.float32), *column])
                  for column, classes in zip(probabilities, self.attributes.classes.values(), strict=True)]
        return Verdicts(tables, np.concatenate(features))


def squashed(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (N, H, W, 3) to (N, size, size, 3), antialiased, as the cache of real pictures is made."""
    if images.shape[1:3] == (size, size):
        return np.ascontiguousarray(images)
    return np.stack([squash(Image.fromarray(image), size) for image in images])


def as_images(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 (B, S, S, 3) to float32 (B, 3, S, S) in -1..1, channels-last."""
    return as_float(pixels.to(device).permute(0, 3, 1, 2))
