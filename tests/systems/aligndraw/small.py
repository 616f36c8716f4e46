"""Small real parts for the tests of the stages and of the painter."""

from __future__ import annotations

from functools import cache

import torch

from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.painting.painter import Painter
from limner.systems import get_system
from limner.systems.aligndraw.config import AlignDrawConfig
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.settings import RunSettings
from limner.training.stage import Components, Stage

SYSTEM = get_system("aligndraw")


@cache
def corpus() -> Corpus:
    return Corpus({split: PictureSet.from_arrays(*shapes_arrays(24, size=16, split=split))
                   for split in ("train", "val")})


def context(step: int = 0, *, phase: str = "step", images_seen: int = 0) -> LoopContext:
    fabric = launch(RunSettings(device="cpu", precision="32", threads=1))
    return LoopContext(fabric, 0, "drawing", step, images_seen, 1000, phase)


def train(stage: Stage, steps: int) -> list[dict[str, torch.Tensor]]:
    loader = Loader(corpus().split("train"), stage.plan, 0)
    return [stage.step(loader.batch(number), context(number)) for number in range(steps)]


def components(config: AlignDrawConfig) -> Components:
    """Of all stages, untrained; the weights enlarged, for at first they paint nothing."""
    made = Components()
    for name in SYSTEM.stage_names(config):
        stage = SYSTEM.build_stage(name, config, corpus(), made, 0)
        made = made | stage.components(stage.modules)
    for weights in made.weights.values():
        for name, value in weights.items():
            if not name.startswith(("init", "sent2img", "conv", "write_head", "read_head")):
                weights[name] = value * 50
    return made


def painter(config: AlignDrawConfig) -> Painter:
    return Painter(SYSTEM, config, SYSTEM.build_painter(config, components(config)))
