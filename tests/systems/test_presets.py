"""Every preset of every system, in its debug form, from the data to a painting."""

from __future__ import annotations

import pytest
import torch

from limner.config import from_json, to_json
from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.painting.painter import Painter
from limner.precision import Precision
from limner.randomness import torch_generator
from limner.systems import find_preset, presets
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.settings import RunSettings
from limner.training.stage import Components


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
    assert system.painting_stage in ("", *system.stage_names(config))


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("preset", presets())
def test_the_debug_form_of_a_preset_trains_a_step_of_every_stage_and_paints(preset: str, precision: Precision,
                                                                            corpus: Corpus) -> None:
    system, name = find_preset(preset)
    config = system.debug(system.presets[name]())
    fabric = launch(RunSettings(device="cpu", precision=precision, threads=1))
    components = Components()
    for stage_name in system.stage_names(config):
        torch.default_generator.set_state(torch_generator(0, preset).get_state())
        stage = system.build_stage(stage_name, config, corpus, components, 0)
        context = LoopContext(fabric, 0, stage_name, 0, 0, stage.schedule.images)
        losses = stage.step(Loader(corpus.split("train"), stage.plan, 0).batch(0), context)
        assert losses
        assert all(torch.isfinite(value) for value in losses.values())
        for module in stage.modules.values():
            module.eval()
        with torch.no_grad():
            samples = stage.sample(context, stage.modules)
            assert samples is None or len(samples.images) % len(samples.captions) == 0
            figures = stage.validate(context, stage.modules)
            assert not stage.schedule.best or stage.schedule.best in figures
            components = components | stage.components(stage.modules)
    painter = Painter(system, config, system.build_painter(config, components), precision=precision)
    painting = painter("a small red ring", seed=1)
    assert painting.image.size == (stage.plan.image_size, stage.plan.image_size)
