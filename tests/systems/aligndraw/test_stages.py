from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from tests.systems.aligndraw import small

from limner.errors import LimnerError
from limner.systems.aligndraw.config import AlignDrawConfig, DrawingConfig
from limner.systems.aligndraw.pictures import as_pictures, as_targets
from limner.systems.aligndraw.presets import aligndraw_coco, aligndraw_debug, aligndraw_shapes, debug_form, draw_digits
from limner.systems.aligndraw.stages import DrawingStage
from limner.training.stage import Components


@pytest.mark.parametrize("config", [debug_form(aligndraw_shapes()), debug_form(draw_digits())],
                         ids=["captions", "no captions"])
def test_training_raises_the_bound_of_held_out_pictures(config: AlignDrawConfig) -> None:
    stage = DrawingStage(replace(config, drawing=replace(config.drawing, learning_rate=0.01)), small.corpus(), 0)
    with torch.no_grad():
        before = stage.validate(small.context(phase="validate"), stage.modules)
    losses = small.train(stage, 40)
    with torch.no_grad():
        after = stage.validate(small.context(phase="validate"), stage.modules)
    assert losses[-1]["negative_bound"] < losses[0]["negative_bound"]
    assert after["bound"] > before["bound"]
    for figures in (before, after):
        assert figures["bound"] == pytest.approx(-figures["pixels"] - figures["kl"])
        assert figures["kl"] > 0
        assert ("caption_gap" in figures) == (config.captions is not None)


def test_the_learning_rate_drops() -> None:
    stage = DrawingStage(debug_form(aligndraw_shapes()), small.corpus(), 0)
    batch = small.Loader(small.corpus().split("train"), stage.plan, 0).batch(0)
    rates = []
    for seen in (0, 729, 730, 999):
        stage.step(batch, small.context(images_seen=seen))
        rates.append(stage.optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])


def test_the_divergence_counts_more_at_first() -> None:
    """The gradients of pixels + weight * divergence lie on a line."""
    config = debug_form(aligndraw_shapes())

    def gradients(weight: float, seen: int, end: float = 1.0) -> torch.Tensor:
        drawing = replace(config.drawing, divergence_weight=weight, divergence_until=0.4, divergence_end=end,
                          learning_rate=1e-6)
        stage = DrawingStage(replace(config, drawing=drawing), small.corpus(), 0)
        stage.optimiser.register_step_pre_hook(lambda *_: kept.append(torch.cat([
            parameter.grad.flatten() for parameter in stage.recognition.parameters() if parameter.grad is not None])))
        kept: list[torch.Tensor] = []
        stage.step(small.Loader(small.corpus().split("train"), stage.plan, 0).batch(0),
                   small.context(images_seen=seen))
        return kept[0]

    plain, heavy = gradients(1.0, 0), gradients(5.0, 0)
    assert (heavy - plain).norm() > 0.1 * plain.norm()
    assert torch.allclose(gradients(5.0, 100), plain + 0.75 * (heavy - plain), rtol=1e-3, atol=1e-6)
    assert torch.equal(gradients(5.0, 400), plain)
    assert torch.equal(gradients(5.0, 900), plain)
    assert torch.allclose(gradients(5.0, 900, end=2.0), plain + 0.25 * (heavy - plain), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("values", ["states", "words"])
def test_a_words_own_vector_does_not_know_its_neighbours(values: Literal["states", "words"]) -> None:
    config = debug_form(aligndraw_shapes())
    assert config.captions is not None
    stage = DrawingStage(replace(config, captions=replace(config.captions, values=values)), small.corpus(), 0)
    lengths = torch.tensor([4, 4])
    words = stage.generator.read_captions(torch.tensor([[1, 2, 3, 4], [1, 2, 5, 4]]), lengths)
    assert not torch.equal(words.keys[0, 0], words.keys[1, 0])
    alike = [torch.equal(words.gates[0, place], words.gates[1, place]) for place in range(4)]
    assert alike == ([True, True, False, True] if values == "words" else [False] * 4)


def test_sharpening_trains_the_sharpener_alone() -> None:
    config = debug_form(aligndraw_coco())
    drawing = DrawingStage(config, small.corpus(), 0)
    made = drawing.components(drawing.modules)
    stage = small.SYSTEM.build_stage("sharpening", config, small.corpus(), made, 0)
    first = {name: value.clone() for name, value in stage.components(stage.modules).weights["sharpener"].items()}
    losses = small.train(stage, 12)
    assert all(torch.isfinite(value) for step in losses for value in step.values())
    assert losses[-1]["distance"] < losses[0]["distance"]
    last = stage.components(stage.modules).weights
    assert set(last) == {"sharpener"}
    assert all(not torch.equal(first[name], last["sharpener"][name]) for name in first)
    samples = stage.sample(small.context(phase="sample"), stage.modules)
    assert samples is not None
    assert samples.images.shape == (64, 16, 16, 3)


def test_grey_is_brightness_and_equal_channels_stay() -> None:
    random = np.random.default_rng(0)
    grey = torch.from_numpy(random.integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)).expand(-1, 3, -1, -1)
    assert torch.equal(as_pictures(as_targets(grey, 1)).permute(0, 3, 1, 2), grey)
    colour = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert as_targets(colour, 1).item() == pytest.approx(0.299)
    assert torch.equal(as_pictures(as_targets(colour, 3))[0, 0, 0], torch.tensor([255, 0, 0], dtype=torch.uint8))


def test_there_are_no_other_stages() -> None:
    with pytest.raises(LimnerError, match="no stage 'sharpening' here; it has drawing"):
        small.SYSTEM.build_stage("sharpening", aligndraw_debug(), small.corpus(), Components(), 0)


@pytest.mark.parametrize(("change", "words"), [
    ({"steps": 0}, "steps must be at least 1, got 0"),
    ({"read_size": 61}, "read_size must be from 0 \\(no attention\\) to image_size 60, got 61"),
    ({"learning_rate": 0.0}, "learning_rate must be between 0 and 1"),
    ({"divergence_weight": 0.5}, "divergence_end must be at least 1 and at most divergence_weight"),
    ({"divergence_end": 0.5, "divergence_weight": 2.0}, "divergence_end must be at least 1"),
    ({"write_places": 1}, "placed windows need write_places and write_size of at least 2"),
])
def test_bad_values_are_refused(change: dict[str, float], words: str) -> None:
    drawing: DrawingConfig = small.SYSTEM.presets["aligndraw-digits"]().drawing
    with pytest.raises(LimnerError, match=words):
        replace(drawing, **change)
    with pytest.raises(LimnerError, match="leave sharpening out"):
        replace(draw_digits(), sharpening=aligndraw_coco().sharpening)
