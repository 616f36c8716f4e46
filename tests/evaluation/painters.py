"""Real painters of a system that paints by heart: pictures of a data set, found by their captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from limner.data.pictures import PictureSet
from limner.painting.painter import Painter
from limner.randomness import stream
from limner.systems.protocol import Picture, Request, System
from limner.training.stage import Components


@dataclass(frozen=True)
class HeartConfig:
    size: int = 16


@dataclass
class ByHeart:
    """Paints a real picture that has the caption (another one for each seed and index), or any one if ``deaf``."""

    pictures: PictureSet
    pixels: np.ndarray
    deaf: bool = False
    told: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows: dict[str, list[int]] = {}
        for row, record in enumerate(self.pictures.records):
            self.rows.setdefault(record.captions[0], []).append(row)

    def paint(self, requests: Sequence[Request]) -> list[Picture]:
        self.told += requests
        return [Picture(self.pixels[self._row(request)]) for request in requests]

    def _row(self, request: Request) -> int:
        rows = range(len(self.pictures)) if self.deaf else self.rows[request.caption]
        return int(stream(request.seed, "by heart", request.index).choice(rows))

    def stream(self, request: Request) -> Iterator[Picture]:
        yield from self.paint([request])

    def warnings(self, *about: object) -> list[str]:
        return []

    def components(self) -> Components:
        return Components({}, {})

    def to(self, device: torch.device) -> ByHeart:
        return self


SYSTEM = System(
    name="by-heart", title="paints real pictures", config_type=HeartConfig, presets={"by-heart": HeartConfig},
    stage_names=lambda config: (), build_stage=lambda *parts: None,  # type: ignore[arg-type,return-value]
    build_painter=lambda *parts: None,  # type: ignore[arg-type,return-value]
    stage_settings=lambda config, name: (config,),
    debug=lambda config: config,
)


def tiny_painter(pictures: PictureSet, size: int, *, deaf: bool = False) -> tuple[Painter, ByHeart]:
    by_heart = ByHeart(pictures, pictures.pixels(size), deaf)
    return Painter(SYSTEM, HeartConfig(size), by_heart, name="by-heart", hash="0"), by_heart
