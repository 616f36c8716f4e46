from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from tests.systems.gan_cls import small

from limner.data.batch import Batch
from limner.data.loader import Loader
from limner.errors import LimnerError
from limner.systems.gan_cls.config import ImprovedGan
from limner.systems.gan_cls.improved import ModulatedGenerator
from limner.systems.gan_cls.improved_stage import ImprovedGanStage
from limner.systems.gan_cls.presets import gan_cls_debug
from limner.training.stage import Components


@pytest.fixture(scope="module")
def components() -> Components:
    return small.fresh(gan_cls_debug(), until="gan")


def _stage(components: Components, **changes: object) -> ImprovedGanStage:
    """The stage with every option as the class has it (off) but those named."""
    config = gan_cls_debug()
    sizes = {name: getattr(config.gan, name) for name in (
        "schedule", "noise_size", "condition_size", "generator_width", "discriminator_width", "batch_size")}
    torch.manual_seed(0)
    return small.built("gan", replace(config, gan=ImprovedGan(**{**sizes, **changes})), components)


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("changes", [
    {}, {"encoder_maps": False}, {"close_wrong_share": 0.5}, {"augment": "color"},
    {"augment": "translation,cutout"}, {"wrong_weight": 0.0}, {"scale_size": 72, "flip": True}, {"variety_weight": 2.0},
    {"close_wrong_share": 1.0, "variety_weight": 1.0, "augment": "color,translation,cutout"},
    {"wrong_captions": 3, "close_wrong_share": 0.5}, {"gradient_penalty": 0.1},
], ids=str)
def test_a_step_changes_both_networks(components: Components, changes: dict[str, Any],
                                      precision: Literal["32", "bf16"]) -> None:
    stage = _stage(components, **changes)
    judge = small.values(stage.captions.judge)
    before = {name: small.values(module) for name, module in stage.modules.items()}
    losses = small.step(stage, small.context(precision=precision))
    assert set(losses) == {"real", "wrong", "fake", "discriminator", "generator",
                           *(["variety"] if "variety_weight" in changes else []),
                           *(["penalty"] if "gradient_penalty" in changes else [])}
    assert all(torch.isfinite(value) and not value.requires_grad for value in losses.values())
    for name, module in stage.modules.items():
        assert all(torch.isfinite(value).all() for value in small.values(module))
        assert not small.equal(before[name], small.values(module))
    assert small.equal(judge, small.values(stage.captions.judge))


def test_each_update_leaves_the_other_network_alone(components: Components) -> None:
    stage = _stage(components, augment="color,translation,cutout")
    told = small.Told(watched={**stage.modules, "judge": stage.captions.judge})
    stage.step(Loader(small.corpus().split("train"), stage.plan, 0).batch(0), told)
    assert told.changed == [["discriminator"], ["generator"]]


def test_rows_of_one_class_are_no_wrong_pairs(components: Components) -> None:
    stage = _stage(components)
    batch = Loader(small.corpus().split("train"), stage.plan, 0).batch(0)
    batch.labels = torch.zeros(8, dtype=torch.int64)
    assert stage.step(batch, small.context())["wrong"] == 0
    batch.labels = None
    assert stage.step(batch, small.context())["wrong"] > 0
    batch.indices = torch.zeros(8, dtype=torch.int64)  # the same picture over and over
    assert stage.step(batch, small.context())["wrong"] == 0


def test_variety_paints_half_the_captions_twice(components: Components) -> None:
    stage = _stage(components, variety_weight=1.0)
    _, text = _batch_and_text(stage)
    assert small.equal(stage._told(text), text[:4].repeat(2, 1))
    assert 0 < small.step(stage, small.context())["variety"] <= stage.gan.variety_goal


def test_learning_rates_stay_and_then_fall_to_zero(components: Components) -> None:
    stage = _stage(components, decay_from=0.5)
    for images_seen, factor in ((0, 1.0), (500, 1.0), (750, 0.5), (1000, 0.0)):
        small.step(stage, small.context(images_seen=images_seen))
        rates = {name: optimiser.param_groups[0]["lr"] for name, optimiser in stage.optimisers.items()}
        assert rates == pytest.approx({"generator": 1e-3 * factor, "discriminator": 1e-3 * factor})


def test_captions_are_whitened_by_the_training_captions(components: Components) -> None:
    stage = _stage(components)
    for network in (stage.generator, stage.discriminator):
        text = network.whitened(stage.captions.embeddings)
        torch.testing.assert_close(text.mean(0), torch.zeros(16), rtol=0, atol=1e-3)
        assert text.square().mean().item() == pytest.approx(1, rel=1e-3)


def test_in_data_of_one_class_there_are_no_wrong_pairs(components: Components) -> None:
    stage = _stage(components, close_wrong_share=1.0)
    batch = Loader(small.corpus().split("train"), stage.plan, 0).batch(0)
    batch.labels = torch.zeros(8, dtype=torch.int64)
    overlap = stage.captions._overlap_on(torch.device("cpu"))
    overlap._kinds = torch.zeros_like(overlap._kinds)
    assert stage.step(batch, small.context())["wrong"] == 0


def test_close_wrong_captions_are_of_another_class(components: Components) -> None:
    stage = _stage(components, close_wrong_share=1.0)
    batch, text = _batch_and_text(stage)
    other, differs = _wrong(stage, batch, text)
    assert differs.all()
    assert (other != text).any(1).all()


def test_every_wrong_caption_of_a_picture_is_another(components: Components) -> None:
    stage = _stage(components, wrong_captions=2)
    batch, text = _batch_and_text(stage)
    first, second = _wrong(stage, batch, text)[0].chunk(2)
    assert small.equal(first, text.roll(-1, 0))
    assert small.equal(second, text.roll(-2, 0))


def _batch_and_text(stage: ImprovedGanStage) -> tuple[Batch, torch.Tensor]:
    batch = Loader(small.corpus().split("train"), stage.plan, 0).batch(0)
    return batch, stage.captions.of(batch.captions, torch.device("cpu"))


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_generators_of_other_sizes(size: int) -> None:
    generator = ModulatedGenerator(noise_size=3, text_size=5, condition_size=4, width=2, image_size=size)
    pictures = generator(torch.randn(2, 3), torch.randn(2, 5))
    assert pictures.shape == (2, 3, size, size)
    assert pictures.abs().max() <= 1


def test_a_penalty_below_nothing_is_refused(components: Components) -> None:
    with pytest.raises(LimnerError, match="gradient_penalty must be at least 0, got -1"):
        _stage(components, gradient_penalty=-1.0)


def test_pictures_do_not_depend_on_the_batch() -> None:
    generator = ModulatedGenerator(noise_size=3, text_size=5, condition_size=4, width=2, image_size=32)
    noise, text = torch.randn(4, 3), torch.randn(4, 5)
    torch.testing.assert_close(generator(noise, text)[:2], generator(noise[:2], text[:2]))


def _wrong(stage: ImprovedGanStage, batch: Batch, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    kinds = batch.indices if batch.labels is None else batch.labels
    return stage.captions.wrong(text, batch.captions[:, 0], kinds, small.context(),
                                close_share=stage.gan.close_wrong_share, count=stage.gan.wrong_captions)
