"""A real system in small: a text encoder stage and a painter stage on striped pictures."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limner.data.batch import Batch, BatchPlan, as_float, as_uint8
from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.nn.initialisation import seeded_initialisation
from limner.systems.protocol import Picture, Request, System
from limner.training.settings import RunSettings
from limner.training.stage import Components, Samples, Schedule, StepContext

WORDS = ("red", "green", "blue", "grey")


@dataclass(frozen=True)
class ToyConfig:
    """Sizes and faults of the toy."""

    width: int = 8
    batch_size: int = 8
    images: int = 48
    tick: int = 16
    half_life: int = 24
    normalise: bool = True
    """Batch norm and dropout in the painter."""
    best: str = ""
    fault: str = ""
    """What goes wrong: ``loss`` or ``weights`` (not a number from ``fault_step`` on), ``flat`` or ``same`` samples,
    ``interrupt`` (Ctrl-C during ``fault_step`` of the stage ``fault_stage``)."""
    fault_step: int = 4
    fault_stage: str = "painter"


def corpus(count: int = 24, *, side: int = 8) -> Corpus:
    """Striped pictures of side x side in four colours, in memory."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (count, side, side, 3)).astype(np.uint8)
    records = []
    for row in range(count):
        word = row % len(WORDS)
        images[row, :, ::2, word % 3] += 150
        records.append(Record(f"{row}.png", (f"{WORDS[word]} stripes", f"stripes of {WORDS[word]}"), label=word))
    return Corpus({"train": PictureSet.from_arrays(images, records)}, info={"name": "stripes", "licence": "CC0-1.0"})


class _Painter(nn.Module):
    def __init__(self, width: int, normalise: bool) -> None:
        super().__init__()
        self.start = nn.Linear(width + 4, 16 * width)
        self.norm = nn.BatchNorm2d(width) if normalise else nn.Identity()
        self.drop = nn.Dropout(0.2 if normalise else 0.0)
        self.up = nn.ConvTranspose2d(width, 3, 4, 2, 1)

    def forward(self, words: Tensor, noise: Tensor) -> Tensor:
        x = self.start(torch.cat([words, noise], 1)).view(len(words), -1, 4, 4)
        return torch.tanh(self.up(self.drop(torch.relu(self.norm(x)))))


@dataclass
class ToyStage:
    """Reconstructs pictures from their captions: by the mean colour (words) or pixel by pixel (painter)."""

    name: str
    config: ToyConfig
    pictures: PictureSet
    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    embedding: nn.Embedding = field(default_factory=lambda: nn.Embedding(1, 1))

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(self.config.batch_size, 8, flip=True)

    @property
    def schedule(self) -> Schedule:
        return Schedule(self.config.images, self.config.tick, self.config.half_life, best=self.config.best)

    @property
    def averaged(self) -> tuple[str, ...]:
        return tuple(self.modules)

    def _classes(self, captions: Tensor) -> Tensor:
        return torch.tensor([next(i for i, w in enumerate(WORDS) if w in self.pictures.captions[c].split())
                             for c in captions[:, 0].tolist()])

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        faulty = self.name == self.config.fault_stage and context.step >= self.config.fault_step
        if faulty and self.config.fault == "interrupt" and context.step == self.config.fault_step:
            signal.raise_signal(signal.SIGINT)
        classes, target = self._classes(batch.captions), as_float(batch.images)
        optimiser = self.optimisers["adam"]
        optimiser.param_groups[0]["lr"] = 0.01 * (1 - 0.5 * context.fraction)
        with context.autocast():
            if self.name == "words":
                loss = (self.modules["head"](self.modules["words"](classes)) - target.mean((2, 3))).square().mean()
            else:
                noise = context.normal("noise", len(classes), 4)
                loss = (self.modules["painter"](self.embedding(classes), noise) - target).square().mean()
        if faulty and self.config.fault == "loss":
            loss = loss * torch.nan
        context.update(optimiser, loss)
        if faulty and self.config.fault == "weights":
            with torch.no_grad():
                next(self.modules[self.name].parameters())[0, 0] = torch.inf
            loss = torch.ones(())
        return {"square": loss.detach(), "fraction": torch.tensor(context.fraction)}

    def _paint(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Tensor:
        noise = context.normal("noise", 8, 4)
        return modules["painter"](self.embedding(torch.arange(4).repeat_interleave(2)), noise)

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples | None:
        if self.name == "words":
            return None
        images = as_uint8(self._paint(context, modules)).permute(0, 2, 3, 1).numpy()
        if self.config.fault == "same":
            images = images[:1].repeat(8, 0)
        if self.config.fault == "flat":
            images = np.full_like(images, 7)
        return Samples(images, [f"{word} stripes" for word in WORDS])

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        # Best at 32 images: lets a test tell the best checkpoint from the last one.
        return {"peak": -abs(context.images_seen - 32.0), "nothing": float("nan")}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        return Components({self.name: modules[self.name].state_dict()}, {"vocabulary": list(WORDS)})


class ToyPainter:
    def __init__(self, config: ToyConfig, components: Components) -> None:
        self._components = components
        self.words = nn.Embedding(len(WORDS), config.width)
        self.words.load_state_dict(components.weights["words"])
        self.network = _Painter(config.width, config.normalise)
        self.network.load_state_dict(components.weights["painter"])

    def components(self) -> Components:
        return self._components

    def paint(self, requests: Sequence[Request]) -> list[Picture]:
        raise NotImplementedError

    stream = warnings = to = paint


def build_stage(name: str, config: ToyConfig, corpus: Corpus, components: Components, seed: int) -> ToyStage:
    with seeded_initialisation(seed, f"toy/{name}"):
        words = nn.Embedding(len(WORDS), config.width)
        if name == "words":
            modules: dict[str, nn.Module] = {"words": words, "head": nn.Linear(config.width, 3)}
        else:
            words.load_state_dict(components.weights["words"])
            modules = {"painter": _Painter(config.width, config.normalise).to(memory_format=torch.channels_last)}
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimisers: dict[str, torch.optim.Optimizer] = {"adam": torch.optim.Adam(parameters, lr=0.01, betas=(0.5, 0.99))}
    return ToyStage(name, config, corpus.split("train"), modules, optimisers, words.requires_grad_(False))


SYSTEM = System(
    name="toy", title="Stripes", config_type=ToyConfig, presets={"toy": ToyConfig},
    stage_names=lambda config: ("words", "painter"), build_stage=build_stage, build_painter=ToyPainter,
    stage_settings=lambda config, name: (config,),
    debug=lambda config: config,
)


def train(run: Path, *, config: ToyConfig | None = None, data: Corpus | None = None, resume: bool = False,
          system: System = SYSTEM, progress: bool = False, **settings: Any) -> None:
    """Trains the toy as a test does: on the CPU, in float32, with one thread, quietly unless told otherwise."""
    from limner.training.loop import train

    settings = {"seed": 3, "device": "cpu", "precision": "32", "threads": 1, **settings}
    train(system, "toy", config or ToyConfig(), data or corpus(), run, RunSettings(**settings), resume=resume,
          progress=progress)
