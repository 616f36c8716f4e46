"""StackGAN: a training step of Stage I and both generators, against a straight port. Prints JSON.

    python benchmarks/stackgan.py [--threads N] [--rounds 9] [--json FILE]

Both sides have the same networks with the widths of the PyTorch release, embeddings of 1024 numbers, and take the same
batches.

Training: ``ours`` is the stage as ``limner train`` runs it (bf16 channels-last where the processor computes in it),
``ours, float32`` the same with ``--precision 32``, ``ours, matching discriminator`` the same with the discriminator of
the improved presets. ``straight`` is what the authors' program does, in float32, NCHW, eager: the generator paints; the
discriminator looks at real pictures and at painted ones, each with its own batch statistics; Adam; the generator is
judged by the updated discriminator, whose gradients ``loss.backward()`` computes too and nobody uses; Adam.
``straight, spared`` leaves those out.

Painting: ``ours`` is the generator as the painter holds it (float32, channels-last, folded), ``straight`` the same
weights in float32 NCHW, layer after layer. The refinement is measured by itself, with a sketch given.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.data.batch import Batch, as_float
from limner.data.pictures import PictureSet
from limner.data.shapes import shapes_arrays
from limner.nn.conditioning import kl_divergence
from limner.nn.painting_form import for_painting
from limner.precision import resolve_precision
from limner.systems.stackgan.build import (
    build_discriminator,
    build_refinement_generator,
    build_sketch_generator,
    condition_noise,
)
from limner.systems.stackgan.config import EmbeddingFile, GanTraining, Networks, StackGanConfig
from limner.systems.stackgan.losses import Logits, discriminator_loss, generator_loss
from limner.systems.stackgan.networks import RefinementGenerator, SketchGenerator, UpBlock
from limner.systems.stackgan.stages import StackGanStage
from limner.text.embedding_table import EmbeddingTable
from limner.training.schedule import Schedule
from limner.training.stage import Components
from steps import next_steps
from turns import by_turns, conditions, in_bf16, report

SCHEDULE = Schedule(images=1_000_000, tick=1_000_000)


class Pictures:
    """A corpus in memory: generated pictures, all of them for training."""

    info: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, count: int, size: int) -> None:
        self.pictures = PictureSet.from_arrays(*shapes_arrays(count, size=size))

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def split(self, name: str) -> PictureSet:
        return self.pictures


def plain_up(up: nn.Module, x: Tensor) -> Tensor:
    """A doubling block as written: the enlarged map, its convolution, its normalisation."""
    assert isinstance(up, UpBlock)
    x = functional.conv2d(functional.interpolate(x, scale_factor=2), up.convolution.weight, padding=1)
    return functional.relu(up.norm(x))


def plain_sketch(network: SketchGenerator, noise: Tensor, code: Tensor) -> Tensor:
    """Stage I without care for the memory layout."""
    x = network.start_norm(network.start(torch.cat([noise, code], dim=1)))
    x = functional.relu(x.unflatten(1, (-1, 4, 4)))
    for up in network.ups:
        x = plain_up(up, x)
    return torch.tanh(network.to_rgb(x))


def plain_refinement(network: RefinementGenerator, sketch: Tensor, code: Tensor) -> Tensor:
    """Stage II without care for the memory layout."""
    x = functional.relu(network.encode1(sketch))
    x = functional.relu(network.encode2_norm(network.encode2(x)))
    x = functional.relu(network.encode3_norm(network.encode3(x)))
    told = code[:, :, None, None].expand(-1, -1, *x.shape[2:])
    x = functional.relu(network.joint_norm(network.joint(torch.cat([x, told], dim=1))))
    for block in network.blocks:
        x = block(x)
    for up in network.ups:
        x = plain_up(up, x)
    return torch.tanh(network.to_rgb(x))


class StraightPort:
    """The authors' step of Stage I in plain PyTorch; see the top of this file."""

    def __init__(self, config: StackGanConfig, batches: list[Batch], *, spared: bool) -> None:
        self.networks, self.text_size, self.spared = config.networks, config.text_size, spared
        self.generator, self.discriminator = build_sketch_generator(config), build_discriminator(config, "sketch")
        self.adam_g, self.adam_d = (torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
                                    for network in (self.generator, self.discriminator))
        self.batches = [(as_float(batch.images).contiguous(), torch.randn(len(batch.indices), self.text_size))
                        for batch in batches]
        self.steps = 0

    def step(self) -> None:
        real, text = self.batches[self.steps % len(self.batches)]
        self.steps += 1
        noise = torch.randn(len(text), self.networks.noise_size)
        eps = condition_noise(self.networks, torch.randn(len(text), self.networks.condition_size))
        condition = self.generator.augmentation(text, eps)
        fake, told = plain_sketch(self.generator, noise, condition.code), condition.mean.detach()

        self.discriminator.zero_grad()
        features = self.discriminator.look(real)
        of_real = Logits(self.discriminator.judge(features, told))
        of_wrong = self.discriminator.judge(features[:-1], told[1:])
        of_fake = Logits(self._judge(fake.detach(), told))
        discriminator_loss(of_real, of_wrong, of_fake).total.backward()
        self.adam_d.step()

        self.generator.zero_grad()
        self.discriminator.requires_grad_(not self.spared)
        loss = generator_loss(Logits(self._judge(fake, told)))
        (loss + 2 * kl_divergence(condition.mean, condition.log_variance)).backward()
        self.discriminator.requires_grad_(True)
        self.adam_g.step()

    def _judge(self, images: Tensor, told: Tensor) -> Tensor:
        return self.discriminator.judge(self.discriminator.look(images), told)


def stage_step(config: StackGanConfig, corpus: Pictures, batches: list[Batch], precision: str) -> Callable[[], object]:
    """A function that takes the next step of Stage I; makes the batches if there are none yet."""
    stage = StackGanStage("sketch", config, corpus, Components(), 0)  # type: ignore[arg-type]
    return next_steps(stage, corpus.pictures, batches, precision)


def measure_training(config: StackGanConfig, corpus: Pictures, *, rounds: int) -> dict[str, Any]:
    batches: list[Batch] = []
    precision, batch = resolve_precision("auto", "cpu"), config.sketch.batch_size
    improved = replace(config, networks=replace(config.networks, discriminator="matching"))
    calls = {"ours": stage_step(config, corpus, batches, precision),
             "ours, float32": stage_step(config, corpus, batches, "32"),
             "ours, matching discriminator": stage_step(improved, corpus, batches, precision),
             "straight": StraightPort(config, batches, spared=False).step,
             "straight, spared": StraightPort(config, batches, spared=True).step}
    seconds = by_turns(calls, rounds=rounds)
    return {"batch": batch, "precision of ours": precision,
            "step_ms": {name: round(1e3 * value, 1) for name, value in seconds.items()},
            "images_per_second": {name: round(batch / value, 1) for name, value in seconds.items()},
            "times as fast as straight": {name: round(seconds["straight"] / value, 2)
                                          for name, value in seconds.items()}}


@torch.inference_mode()
def measure_painting(config: StackGanConfig, *, rows: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of either generator with so many rows at a time."""
    sizes = config.networks
    code, noise = torch.randn(rows, sizes.condition_size), torch.randn(rows, sizes.noise_size)
    sketch = torch.rand(rows, 3, sizes.sketch_size, sizes.sketch_size) * 2 - 1
    first, second = build_sketch_generator(config).eval(), build_refinement_generator(config).eval()
    fast_first, fast_second = for_painting(copy.deepcopy(first)), for_painting(copy.deepcopy(second))
    sketch_last = sketch.contiguous(memory_format=torch.channels_last)
    stages: dict[str, dict[str, Callable[[], Tensor]]] = {
        "sketch": {"ours": lambda: fast_first.paint(code, noise),
                   "ours, bf16": lambda: in_bf16(fast_first.paint, code, noise),
                   "straight": lambda: plain_sketch(first, noise, code)},
        "refinement": {"ours": lambda: fast_second.paint(sketch_last, code),
                       "ours, bf16": lambda: in_bf16(fast_second.paint, sketch_last, code),
                       "straight": lambda: plain_refinement(second, sketch, code)},
    }
    result = {}
    for name, calls in stages.items():
        torch.testing.assert_close(calls["ours"](), calls["straight"](), rtol=0, atol=1e-4)
        seconds = by_turns(calls, rounds=rounds, warm_up=1)
        result[name] = {"ms": {call: round(1e3 * value, 1) for call, value in seconds.items()},
                        "times as fast as straight": {call: round(seconds["straight"] / value, 2)
                                                      for call, value in seconds.items()}}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--rounds", type=int, default=9, help="turns that are counted")
    parser.add_argument("--width", type=int, default=128, help="GF_DIM; DF_DIM is half of it")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=256, help="side of the refinement")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    networks = Networks(generator_width=arguments.width, discriminator_width=arguments.width // 2,
                        image_size=arguments.image_size)
    corpus = Pictures(4 * arguments.batch, networks.sketch_size)
    training = GanTraining(schedule=SCHEDULE, batch_size=arguments.batch, crop=False, flip=False)
    with tempfile.TemporaryDirectory() as folder:
        captions = sorted(set(corpus.pictures.captions))
        EmbeddingTable(captions, torch.randn(len(captions), 1024)).save(Path(folder) / "table")
        config = StackGanConfig(text=EmbeddingFile(folder=str(Path(folder) / "table")), networks=networks,
                                sketch=training, refinement=training)
        result = {"conditions": conditions(), "widths": [networks.generator_width, networks.discriminator_width],
                  "training": measure_training(config, corpus, rounds=arguments.rounds)}
        result["painting"] = {f"{rows} rows": measure_painting(config, rows=rows, rounds=arguments.rounds)
                              for rows in (1, arguments.batch)}
    report(result, arguments.json)


if __name__ == "__main__":
    main()
