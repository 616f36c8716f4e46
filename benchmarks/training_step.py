"""One training step of GAN-INT-CLS: ours against a straight float32 port of the authors' script. Prints JSON.

    python benchmarks/training_step.py [--threads N] [--rounds 15] [--json FILE]

Both sides train the same networks (ngf 64, ndf 64, batch 64, embeddings of 1024 numbers) with the same losses on the
same batches. ``ours`` is the stage as ``limner train`` runs it (bf16 channels-last where the processor computes in it);
``ours float32`` is the same with ``--precision 32``.

``straight`` is what a plain port does: float32, NCHW, eager, and the closures of the authors' Lua script one after the
other. Discriminator: real forward and backward, wrong forward and backward, generator forward (with its graph, as a
Lua module keeps what backward would need), fake forward and backward, gradients accumulating; then Adam. Generator:
forward again with fresh noise, discriminator forward, backward through both; then Adam. It assumes that the way back
through the discriminator computes no gradients of its parameters (Torch's ``updateGradInput``), which is the reading
that favours the baseline. ``straight, all gradients`` computes them too, as ``loss.backward()`` in PyTorch does when
nothing is said.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.data.batch import Batch, as_float
from limner.data.pictures import PictureSet
from limner.data.shapes import shapes_arrays
from limner.matching.config import MatchingConfig
from limner.matching.stage import MatchingStage
from limner.nn.initialisation import convolution_biases
from limner.nn.losses import eps_bce
from limner.precision import resolve_precision
from limner.systems.gan_cls.config import GanClsConfig, PaperGan
from limner.systems.gan_cls.improved_stage import ImprovedGanStage
from limner.systems.gan_cls.losses import interpolate_text
from limner.systems.gan_cls.networks import Discriminator
from limner.systems.gan_cls.presets import PRESETS
from limner.systems.gan_cls.stages import PaperGanStage
from limner.text.config import TextEncoderConfig
from limner.training.schedule import Schedule
from steps import next_steps
from straight import plain_generator
from turns import by_turns, conditions, report

SCHEDULE = Schedule(images=1_000_000, tick=1_000_000)


class Pictures:
    """A corpus in memory: generated pictures, all of them for training."""

    info: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, count: int) -> None:
        self.pictures = PictureSet.from_arrays(*shapes_arrays(count, size=64))

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def split(self, name: str) -> PictureSet:
        return self.pictures


def paper_config(*, width: int, batch: int) -> GanClsConfig:
    """GAN-INT-CLS on birds, with another ngf, ndf and batch; a small encoder makes the embeddings of 1024 numbers."""
    text = TextEncoderConfig(architecture="word-gru", widths=(8, 8), length=30, embedding=1024)
    return GanClsConfig(
        matching=MatchingConfig(text=text, schedule=SCHEDULE),
        gan=PaperGan(schedule=SCHEDULE, generator_width=width, discriminator_width=width, batch_size=batch,
                     captions=1, balance_classes=False, scale_size=0, flip=False),
    )


def stage_step(config: GanClsConfig, corpus: Pictures, batches: list[Batch], precision: str) -> Callable[[], object]:
    """The stage of a configuration and a function that takes its next step."""
    encoders = MatchingStage(config.matching, corpus, 0)  # type: ignore[arg-type]
    kind: Any = PaperGanStage if isinstance(config.gan, PaperGan) else ImprovedGanStage
    stage = kind(config, config.gan, corpus, encoders.components(encoders.modules), 0)
    return next_steps(stage, corpus.pictures, batches, precision)


class StraightPort:
    """The authors' two closures in plain PyTorch; see the top of this file."""

    def __init__(self, config: GanClsConfig, batches: list[Batch], *, all_gradients: bool) -> None:
        assert isinstance(config.gan, PaperGan)
        self.gan, self.all_gradients = config.gan, all_gradients
        text_size = config.matching.text.embedding
        self.generator = plain_generator(config)
        self.discriminator = Discriminator(text_size=text_size, text_projection=self.gan.text_projection,
                                           width=self.gan.discriminator_width)
        self.adam_g, self.adam_d = (torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
                                    for network in (self.generator, self.discriminator))
        self.batches = [(as_float(batch.images).contiguous(), as_float(_wrong(batch)).contiguous(),
                         torch.randn(len(batch.indices), text_size)) for batch in batches]
        self.steps = 0

    def step(self) -> None:
        real, wrong, text = self.batches[self.steps % len(self.batches)]
        self.steps += 1
        self._zero_biases()
        self.discriminator.requires_grad_(True)
        self.discriminator.zero_grad()
        self._criterion(real, text, real=True).backward()
        (self.gan.cls_weight * self._criterion(wrong, text, real=False)).backward()
        painted = self.generator(torch.randn(len(text), self.gan.noise_size), text)
        ((1 - self.gan.cls_weight) * self._criterion(painted.detach(), text, real=False)).backward()
        self.adam_d.step()

        self._zero_biases()
        self.discriminator.requires_grad_(self.all_gradients)
        self.generator.zero_grad()
        spread = interpolate_text(text)
        painted = self.generator(torch.randn(len(spread), self.gan.noise_size), spread)
        self._criterion(painted, spread, real=True).backward()
        self.adam_g.step()

    def _criterion(self, images: Tensor, text: Tensor, *, real: bool) -> Tensor:
        return eps_bce(self.discriminator(images, text).sigmoid(), real=real).mean()

    @torch.no_grad()
    def _zero_biases(self) -> None:
        for network in (self.generator, self.discriminator):
            for bias in convolution_biases(network):
                bias.zero_()


def _wrong(batch: Batch) -> Tensor:
    assert batch.wrong_images is not None
    return batch.wrong_images


def measure_paper(*, width: int, batch: int, rounds: int) -> dict[str, Any]:
    config, corpus = paper_config(width=width, batch=batch), Pictures(2 * batch)
    batches: list[Batch] = []
    precision = resolve_precision("auto", "cpu")
    calls = {"ours": stage_step(config, corpus, batches, precision),
             "ours float32": stage_step(config, corpus, batches, "32"),
             "straight": StraightPort(config, batches, all_gradients=False).step,
             "straight, all gradients": StraightPort(config, batches, all_gradients=True).step}
    seconds = by_turns(calls, rounds=rounds)
    return {"ngf": width, "ndf": width, "batch": batch, "precision of ours": precision,
            "step_ms": {name: round(1e3 * value, 1) for name, value in seconds.items()},
            "images_per_second": {name: round(batch / value, 1) for name, value in seconds.items()},
            "times as fast as straight": {name: round(seconds["straight"] / value, 2)
                                          for name, value in seconds.items()}}


def measure_improved(config: GanClsConfig, *, rounds: int) -> dict[str, Any]:
    """The improved step of a preset, in bf16 and in float32."""
    batch = config.gan.batch_size
    corpus = Pictures(4 * batch)
    batches: list[Batch] = []
    seconds = by_turns({name: stage_step(config, corpus, batches, name) for name in ("bf16", "32")}, rounds=rounds)
    return {"batch": batch, "step_ms": {name: round(1e3 * value, 1) for name, value in seconds.items()},
            "images_per_second": {name: round(batch / value, 1) for name, value in seconds.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--rounds", type=int, default=15, help="turns that are counted")
    parser.add_argument("--width", type=int, default=64, help="ngf and ndf")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--preset", default="shapes-gan-cls", help="improved preset that is timed as well")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    result = {"conditions": conditions(),
              "paper": measure_paper(width=arguments.width, batch=arguments.batch, rounds=arguments.rounds),
              arguments.preset: measure_improved(PRESETS[arguments.preset](), rounds=arguments.rounds)}
    report(result, arguments.json)


if __name__ == "__main__":
    main()
