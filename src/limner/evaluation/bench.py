"""What metrics work on: a painter, the pictures it is held against, and what several metrics share, made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from limner.data.cache import Progress
from limner.data.pictures import Corpus, PictureSet
from limner.errors import LimnerError
from limner.evaluation import figures
from limner.evaluation.attributes import Attributes, find_attributes
from limner.evaluation.extractors import Extractor, build_extractor, reference_features
from limner.evaluation.oracle import Oracle, OracleConfig
from limner.evaluation.oracle_training import find_oracle
from limner.painting.painter import Painter
from limner.painting.painting import Painting
from limner.randomness import stream
from limner.systems.protocol import Request

SAMPLES = 2000

Made = TypeVar("Made")


@dataclass(frozen=True)
class Sources:
    """Where the judges come from."""

    oracle: OracleConfig = field(default_factory=OracleConfig)
    """Settings of the classifier that is trained on the data."""
    run: Path | None = None
    """The run that trained the painter: its matching model is ``own``."""
    judge: Path | None = None
    """Another run, whose matching model is ``judge``."""
    pretrained: Path | None = None
    """Folder of an image model of the transformers library."""
    inception: Path | None = None
    """File of the standard Inception weights."""


class Bench:
    """A painter and a split of a corpus, ready to be measured.

    Captions are drawn once: of at most ``samples`` pictures of the split, each by its first caption or by any of its
    captions; caption n is painted with seed + n. What is expensive (paintings, the oracle, features) is made when it is
    first asked for.
    """

    def __init__(self, painter: Painter, corpus: Corpus, *, split: str = "test", samples: int = SAMPLES, seed: int = 0,
                 which: Literal["first", "any"] = "first", stage: str | None = None,
                 inputs: Mapping[str, Any] | None = None, sources: Sources | None = None,
                 cache_dir: Path | None = None, progress: Progress | None = None) -> None:
        """``which`` caption of every picture stands for it; ``stage`` names an earlier picture of every painting (a key
        of ``Painting.stages``) to be judged in its place; all are painted with the same extra ``inputs``. Raises
        LimnerError if there is no such split, or for fewer than 2 samples."""
        if samples < 2:
            raise LimnerError(f"samples must be at least 2 (controls need another caption), got {samples}.")
        self.painter = painter
        self.corpus = corpus
        self.which = which
        self.stage = stage
        self.inputs = dict(inputs or {})
        self.pictures: PictureSet = corpus.split(split)
        if which == "any":
            counts = np.array([len(record.captions) for record in self.pictures.records])
            chance = stream(seed, "any caption").random(len(counts))
            self.pictures = self.pictures.with_first_captions((chance * counts).astype(int).tolist())
        self.samples = samples
        self.seed = seed
        self.sources = sources or Sources()
        self.cache_dir = cache_dir
        self.progress = progress
        self.judges: dict[str, dict[str, Any]] = {}
        """What judged, for the record: name -> hash, settings ..."""
        self.complaints: dict[str, str] = {}
        """What the painter could not use of captions: caption -> the first warning."""
        self._made: dict[str, Any] = {}
        self._painted: dict[tuple[tuple[str, int, int], ...], np.ndarray] = {}

    @property
    def device(self) -> torch.device:
        return self.painter.device

    @cached_property
    def attributes(self) -> Attributes:
        """The attributes of the data. Raises LimnerError if there are none to judge."""
        return find_attributes(self.corpus)

    def lacks_attributes(self) -> str | None:
        """Why there is no oracle for this data, or None if there is one: for ``Metric.needs``."""
        try:
            self.attributes  # noqa: B018, found once and kept
        except LimnerError as error:
            return str(error).rstrip(".")
        return None

    @cached_property
    def rows(self) -> np.ndarray:
        """int64 (N,): the pictures of the split whose captions are painted, in order."""
        return figures.drawn(len(self.pictures), self.samples, self.seed, "faithfulness captions")

    @cached_property
    def captions(self) -> list[str]:
        """The captions of ``rows``."""
        return [self.pictures.records[row].captions[0] for row in self.rows]

    @property
    def paintings(self) -> np.ndarray:
        """uint8 (N, H, W, 3): a painting of each of ``captions``."""
        return self.paint(self.requests(self.captions))

    def requests(self, captions: Sequence[str]) -> list[Request]:
        """Caption n with seed + n."""
        return [Request(caption, self.seed + place, 0, self.inputs) for place, caption in enumerate(captions)]

    def paint(self, requests: Sequence[Request], *, what: str = "Painting captions") -> np.ndarray:
        """uint8 (N, H, W, 3); the same requests are painted once. They stay in memory: N * H * W * 3 bytes."""
        key = tuple((request.caption, request.seed, request.index) for request in requests)
        if key not in self._painted:
            self._painted[key] = self._paint(requests, what)
        return self._painted[key]

    def _paint(self, requests: Sequence[Request], what: str) -> np.ndarray:
        images: np.ndarray | None = None
        for place, painting in enumerate(self.painter.paint(requests)):
            picture = painting.array if self.stage is None else self._stage_of(painting)
            if images is None:
                images = np.empty((len(requests), *picture.shape), np.uint8)
            if picture.shape != images.shape[1:]:
                raise LimnerError(f"{self.painter.model.name} paints pictures of several sizes ({images.shape[1:3]} "
                                  f"and {picture.shape[:2]}); paintings that are measured must be of one size.")
            images[place] = picture
            if painting.warnings:
                self.complaints.setdefault(painting.caption, painting.warnings[0])
            if self.progress:
                self.progress(what, place + 1, len(requests))
        assert images is not None
        return images

    def try_out(self) -> None:
        """Paints one caption where a stage or inputs are asked for: a wrong one shall fail before an oracle is trained.

        Raises LimnerError if the painter does not have the stage, or does not take an input.
        """
        if self.stage is not None or self.inputs:
            self.paint(self.requests(self.captions[:1]))

    def _stage_of(self, painting: Painting) -> np.ndarray:
        if self.stage not in painting.stages:
            raise LimnerError(f"{self.painter.model.name} has no stage {self.stage!r} to judge; it has "
                              f"{', '.join(painting.stages) or 'none: its paintings come at once'}.")
        return np.asarray(painting.stages[self.stage])

    @cached_property
    def oracle(self) -> Oracle:
        """The classifier of the data, from its cache or trained now. Raises LimnerError without attributes."""
        oracle = find_oracle(self.corpus, self.sources.oracle, cache_dir=self.cache_dir, device=self.device,
                             progress=self.progress)
        self.judges["oracle"] = oracle.about
        return oracle

    def extractor(self, name: str) -> Extractor:
        """A feature extractor, by a name of ``EXTRACTORS``."""
        return self.once(f"extractor {name}", lambda: self._extractor(name))

    def _extractor(self, name: str) -> Extractor:
        extractor = build_extractor(self, name)
        self.judges[name] = extractor.about
        return extractor

    def painted_features(self, name: str) -> np.ndarray:
        """float32 (N, F): features of ``paintings``."""
        return self.once(f"painted features {name}", lambda: self.extractor(name).features(
            self.paintings, progress=self.progress, what=f"Features of paintings ({name})"))

    def real_features(self, name: str) -> np.ndarray:
        """float32 (M, F): features of all pictures of the split, squashed to the side of the paintings first."""
        return self.once(f"real features {name}", lambda: reference_features(
            self.pictures, self.corpus.root, self.extractor(name), self.paintings.shape[1], cache_dir=self.cache_dir,
            progress=self.progress))

    def real_against_real(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The real features in two parts: as many as there are paintings (but at most half), and the others.

        What they score is what paintings as good as reality would.
        """
        features = self.real_features(name)
        order = stream(self.seed, "real against real").permutation(len(features))
        count = min(len(self.rows), len(order) // 2)
        return features[order[:count]], features[order[count:]]

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, made at the first call: for what several metrics share."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
