"""One result of a painter: the image and what led to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import limner
from limner.errors import LimnerError
from limner.painting.png import STORY_FORMAT, write_png


@dataclass(frozen=True)
class Model:
    """Which painter painted."""

    name: str
    system: str
    hash: str
    """SHA-256 over the bundle's configuration, weights and vocabularies (see ``bundle.bundle_hash``)."""


@dataclass(eq=False)
class Painting:
    """One painted picture. ``image`` is the result; the other fields say how it came about."""

    image: Image.Image
    caption: str
    seed: int
    index: int
    """Which of several pictures of the same caption and seed."""
    model: Model
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """The extra inputs it was painted with (boxes, key points ...)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Where it was computed: ``{"device": "cpu"}``. Other devices round differently in the last bits."""
    stages: Mapping[str, Image.Image] = field(default_factory=dict)
    """Earlier or smaller versions by name, in the order in which they were made."""
    attention: Any = None
    """What the system reports of its attention over the words, or None."""
    canvases: Any = None
    """The canvas after every step, or None."""
    scene: Any = None
    """The objects that the system placed, or None."""
    warnings: Sequence[str] = ()
    """What of the caption could not be used."""

    @property
    def array(self) -> np.ndarray:
        """The image as uint8 (height, width, 3)."""
        return np.asarray(self.image)

    @property
    def story(self) -> dict[str, Any]:
        """Everything that is needed to paint it again, as JSON: the content of the PNG's ``limner`` chunk.

        Keys: format, limner (version), caption, seed, index, inputs, model (name, system, hash), settings, size
        (width, height), warnings, and pixels (SHA-256 of the RGB bytes, row by row).
        """
        return {
            "format": STORY_FORMAT,
            "limner": limner.__version__,
            "caption": self.caption,
            "seed": self.seed,
            "index": self.index,
            "inputs": {name: recorded(value) for name, value in self.inputs.items()},
            "model": vars(self.model).copy(),
            "settings": dict(self.settings),
            "size": list(self.image.size),
            "warnings": list(self.warnings),
            "pixels": pixel_hash(self.image),
        }

    @property
    def parameters(self) -> str:
        """The story in the form that gallery programs read: the caption, then one line of settings."""
        width, height = self.image.size
        return (f"{self.caption}\nSteps: 1, Sampler: {self.model.system}, Seed: {self.seed}, "
                f"Image index: {self.index}, Size: {width}x{height}, Model hash: {self.model.hash[:10]}, "
                f"Model: {self.model.name}, Version: limner {limner.__version__}")

    def save(self, path: str | Path) -> Path:
        """Writes a PNG that carries the story, and returns its path. Raises LimnerError for another file type."""
        write_png(Path(path), self.image, self.story, self.parameters)
        return Path(path)


def pixel_hash(image: Image.Image) -> str:
    """SHA-256 of the RGB bytes of an image, row by row."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def recorded(value: Any) -> Any:
    """An input as JSON. Pictures and arrays are named by their hash: the story says which one, not what was in it."""
    if isinstance(value, Image.Image):
        return {"sha256": pixel_hash(value), "size": list(value.size)}
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        return {"sha256": hashlib.sha256(data.tobytes()).hexdigest(), "shape": list(data.shape)}
    if isinstance(value, (list, tuple)):
        return [recorded(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): recorded(item) for name, item in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise LimnerError(f"an input is made of numbers, text, lists, pictures and arrays, not of {type(value).__name__}.")
