"""Every preset of every system, in its debug form, from the data to a painting."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limner.config import from_json, to_json
from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.painting.painter import Painter, load
from limner.precision import Precision
from limner.randomness import torch_generator
from limner.systems import find_preset, presets
from limner.training import graphs
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.graphs import StepRecorder
from limner.training.settings import RunSettings
from limner.training.stage import Components, Stage

Device = Literal["cpu", "cuda"]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus({split: PictureSet.from_arrays(*shapes_arrays(16, size=64, split=split))
                   for split in ("train", "val")})


@pytest.mark.parametrize("preset", presets())
def test_a_preset_is_whole(preset: str) -> None:
    system, name = find_preset(preset)
    config = system.presets[name]()
    assert from_json(system.config_type, to_json(config)) == config
    debug = system.debug(config)
    assert system.stage_names(debug) == system.stage_names(config)
    assert to_json(debug).keys() == to_json(config).keys()
    assert system.debug(debug) == debug
    assert set(system.painting_stages) <= set(system.stage_names(config))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("preset", presets())
def test_the_debug_form_of_a_preset_trains_a_step_of_every_stage_and_paints(
    preset: str, precision: Precision, device: Device, corpus: Corpus,
) -> None:
    losses, painter, size = one_step(preset, precision, device, corpus)
    assert all(losses.values())
    assert all(math.isfinite(value) for values in losses.values() for value in values.values())
    assert painter("a small red ring", seed=1).image.size == (size, size)


@needs_cuda
@pytest.mark.parametrize("preset", presets())
def test_a_gpu_gives_the_losses_and_paintings_of_the_cpu(
    preset: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All losses on the first weights: a first update goes by the signs of gradients, also of those that are
    rounding and nothing else."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(LoopContext, "update", lambda self, optimiser, loss, **options: loss.backward(**options))
    expected, painter, _ = one_step(preset, "32", "cpu", corpus)
    losses, _, _ = one_step(preset, "32", "cuda", corpus)
    for stage, values in expected.items():
        assert losses[stage] == pytest.approx(values, rel=2e-3, abs=2e-4), stage
    folder = painter.save_pretrained(tmp_path / "painter")
    pictures = [np.asarray(load(folder, device=device)("a small red ring", seed=1).image).astype(int)
                for device in ("cpu", "cuda")]
    assert np.abs(pictures[0] - pictures[1]).max() <= 2


@needs_cuda
@pytest.mark.parametrize("preset", [
    "gan-cls-small", "faces-gan-cls", "stackgan-birds", "stackgan-coco", "stackgan-shapes", "attngan-birds",
    "attngan-birds-64", "attngan-shapes",
])
def test_recorded_steps_learn_what_others_learn(
    preset: str, corpus: Corpus, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten steps, so that steps with a gradient penalty are replayed too. Sums of many threads differ by rounding, and
    Adam makes much of it: at full rates, weights that differ by a ten-millionth give other losses after four steps, so
    the steps are a hundredth as long, and all weights together are held to the way they went."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(graphs, "_WARM_UP", 1)
    monkeypatch.setattr(LoopContext, "_apply", lambda self, optimiser: short_step(optimiser))
    system, name = find_preset(preset)
    config = system.debug(system.presets[name]())
    fabric = launch(RunSettings(device="cuda", precision="32", threads=1))
    components = Components()
    for stage_name in system.stage_names(config):
        runs, counts, ways = [], [], []
        for recorder in (None, StepRecorder()):
            torch.default_generator.set_state(torch_generator(0, preset).get_state())
            stage = system.build_stage(stage_name, config, corpus, components.to(fabric.device), 0)
            for module in stage.modules.values():
                module.to(fabric.device)
            first = all_weights(stage)
            loader, losses = Loader(corpus.split("train"), stage.plan, 0), []
            for step in range(10):
                context = LoopContext(fabric, 0, stage_name, step, 8 * step, 1000, recorder=recorder)
                context.seed_global_generators()
                losses.append({loss: float(value) for loss, value in
                               stage.step(loader.batch(step).to(fabric.device), context).items()})
            runs.append(losses)
            ways.append(all_weights(stage) - first)
            counts.append(0 if recorder is None else len(recorder.kinds))
        usual, recorded = runs
        for step, (expected, found) in enumerate(zip(usual, recorded, strict=True)):
            assert found == pytest.approx(expected, rel=0.02, abs=0.02), (stage_name, step)
        assert nn.functional.cosine_similarity(*ways, dim=0) > 0.8, stage_name
        penalised = any("penalty" in losses for losses in usual)
        assert counts[1] == (0 if stage_name in {"text-encoder", "damsm", "prior"} else 1 + penalised)
        components = components | stage.components(stage.modules)


def short_step(optimiser: torch.optim.Optimizer) -> None:
    rates = [group["lr"] for group in optimiser.param_groups]
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate / 100
    optimiser.step()
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def all_weights(stage: Stage) -> Tensor:
    return torch.cat([weight.detach().flatten().clone() for module in stage.modules.values()
                      for weight in module.parameters()])


def one_step(preset: str, precision: Precision, device: Device, corpus: Corpus
             ) -> tuple[dict[str, dict[str, float]], Painter, int]:
    """Trains the debug form of a preset for one step a stage, without dropout, which draws otherwise on a GPU: the
    losses of each stage, the painter, and the side of its pictures."""
    system, name = find_preset(preset)
    config = system.debug(system.presets[name]())
    fabric = launch(RunSettings(device=device, precision=precision, threads=1))
    components, losses = Components(), {}
    for stage_name in system.stage_names(config):
        torch.default_generator.set_state(torch_generator(0, preset).get_state())
        stage = system.build_stage(stage_name, config, corpus, components.to(fabric.device), 0)
        for module in stage.modules.values():
            module.to(fabric.device)
            for part in module.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.0
        context = LoopContext(fabric, 0, stage_name, 0, 0, stage.schedule.images)
        batch = Loader(corpus.split("train"), stage.plan, 0).batch(0).to(fabric.device)
        losses[stage_name] = {loss: float(value) for loss, value in stage.step(batch, context).items()}
        for module in stage.modules.values():
            module.eval()
        with torch.no_grad():
            samples = stage.sample(context, stage.modules)
            assert samples is None or len(samples.images) % len(samples.captions) == 0
            figures = stage.validate(context, stage.modules)
            assert not stage.schedule.best or stage.schedule.best in figures
            components = components | stage.components(stage.modules)
    painter = system.build_painter(config, components)
    return (losses, Painter(system, config, painter, precision=precision, device=fabric.device),
            stage.plan.image_size)
