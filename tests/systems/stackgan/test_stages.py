from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.systems.gan_cls.small import Told, context, corpus
from torch.nn import functional

from limner.data.batch import as_float
from limner.data.loader import Loader
from limner.errors import LimnerError
from limner.nn.losses import steepness
from limner.systems import get_system
from limner.systems.stackgan.build import build_refinement_generator, build_sketch_generator
from limner.systems.stackgan.config import Networks, StackGanConfig
from limner.systems.stackgan.losses import inconsistency
from limner.systems.stackgan.networks import Discriminator, ModulatedSketchGenerator, SketchGenerator
from limner.systems.stackgan.presets import (
    TENSORFLOW,
    debug_form,
    stackgan_birds,
    stackgan_coco,
    stackgan_debug,
    stackgan_faces,
)
from limner.systems.stackgan.stages import StackGanStage
from limner.training.stage import Components, weights_of

SYSTEM = get_system("stackgan")


def _stage(name: str, config: StackGanConfig) -> StackGanStage:
    text = SYSTEM.build_stage("text-encoder", config, corpus(), Components(), 0)
    components = text.components(text.modules)
    sketch = SYSTEM.build_stage("sketch", config, corpus(), components, 0)
    if name == "sketch":
        return sketch  # type: ignore[return-value]
    return SYSTEM.build_stage(name, config, corpus(), components | sketch.components(sketch.modules), 0)  # type: ignore[return-value]


def _step(stage: StackGanStage, told: Told) -> dict[str, torch.Tensor]:
    return stage.step(Loader(corpus().split("train"), stage.plan, 0).batch(0), told)


@pytest.mark.parametrize("name", ["sketch", "refinement"])
def test_the_tensorflow_release_draws_noise_twice_and_looks_at_wrong_pictures(name: str) -> None:
    stage = _stage(name, debug_form(stackgan_birds()))
    assert stage.plan.wrong_images
    assert stage.plan.captions_per_image == 4
    told = Told(watched=dict(stage.modules))
    losses = _step(stage, told)
    twice = {"noise": (8, 4), "sketch": (8, 8)} | ({"refinement": (8, 8)} if name == "refinement" else {})
    assert told.asked == {**twice, **{f"again/{purpose}": shape for purpose, shape in twice.items()}}
    assert told.changed == [["discriminator"], [name]]
    assert all(torch.isfinite(value) for value in losses.values())


def test_the_refinement_trains_against_two_scores_and_its_sketch_stays_in_training_mode() -> None:
    stage = _stage("refinement", debug_form(stackgan_coco()))
    assert stage.discriminator.score_alone is not None
    before = weights_of(stage.sketch)
    before = {key: value.clone() for key, value in before.items()}
    _step(stage, Told())
    changed = {key for key, value in weights_of(stage.sketch).items() if not torch.equal(value, before[key])}
    assert changed == {key for key in before if "running" in key or "tracked" in key}
    handed_on = stage.components(stage.modules).weights["sketch"]
    assert all(torch.equal(handed_on[key], value) for key, value in weights_of(stage.sketch).items())


def test_frozen_statistics_leave_the_sketch_as_it_was() -> None:
    stage = _stage("refinement", stackgan_debug())
    before = {key: value.clone() for key, value in weights_of(stage.sketch).items()}
    _step(stage, Told())
    assert all(torch.equal(value, before[key]) for key, value in weights_of(stage.sketch).items())


def test_augmentation_is_drawn_for_everything_the_discriminator_sees() -> None:
    told, config = Told(), stackgan_debug()
    _step(_stage("sketch", replace(config, sketch=replace(config.sketch, augment="translation"))), told)
    assert {purpose: told.asked[purpose] for purpose in ("real", "fake", "paint")} == dict.fromkeys(
        ("real", "fake", "paint"), (8, 7))


def test_wrong_captions_of_the_same_kind_count_nothing_where_they_are_left_out() -> None:
    config = stackgan_debug()
    config = replace(config, sketch=replace(config.sketch, close_wrong_share=0.0))
    batch = Loader(corpus().split("train"), _stage("sketch", config).plan, 0).batch(0)
    batch.labels = torch.zeros(8, dtype=torch.int64)
    losses = _stage("sketch", config).step(batch, Told())
    assert losses["wrong"] == 0
    counted = _stage("sketch", replace(config, sketch=replace(config.sketch, wrong_captions=0))).step(batch, Told())
    assert counted["wrong"] > 0


def test_without_augmentation_there_is_no_divergence() -> None:
    config = debug_form(stackgan_coco())
    losses = _step(_stage("sketch", replace(config, networks=replace(config.networks, augmentation=False))), Told())
    assert "kl" not in losses


def test_the_learning_rate_is_halved_after_as_many_epochs() -> None:
    config = debug_form(stackgan_coco())
    stage = _stage("sketch", replace(config, sketch=replace(config.sketch, halve_every=2)))
    rates = []
    for images_seen in (0, 47, 48, 96):  # an epoch is 24 pictures
        _step(stage, Told(images_seen=images_seen))
        rates.append([group["lr"] / 2e-4 for optimiser in stage.optimisers.values()
                      for group in optimiser.param_groups])
    assert rates == [[1, 1], [1, 1], [0.5, 0.5], [0.25, 0.25]]


def test_samples_and_agreement_of_held_out_captions() -> None:
    stage = _stage("refinement", stackgan_debug())
    for module in stage.modules.values():
        module.eval()
    with torch.no_grad():
        samples = stage.sample(context(), stage.modules)
        assert samples.images.shape == (64, 64, 64, 3)
        assert 0 <= stage.validate(context(), stage.modules)["agreement"] <= 1


def test_the_tensorflow_sketch_layer_by_layer() -> None:
    """The description of the release, written once more with plain functions."""
    network = SketchGenerator(text_size=6, condition_size=3, noise_size=2, width=4, noise_first=False, residual=True,
                              activation="leaky-relu", deviation="log-deviation").eval()
    state = dict(network.named_parameters())
    text, noise, eps = torch.randn(2, 6), torch.randn(2, 2), torch.randn(2, 3)

    def norm(x: torch.Tensor, module: Any) -> torch.Tensor:
        return functional.batch_norm(x, module.running_mean, module.running_var, module.weight, module.bias)

    def block(x: torch.Tensor, module: Any) -> torch.Tensor:
        y = functional.relu(norm(functional.conv2d(x, module.c1.weight), module.bn1))
        y = functional.relu(norm(functional.conv2d(y, module.c2.weight, padding=1), module.bn2))
        return functional.relu(x + norm(functional.conv2d(y, module.c3.weight, padding=1), module.bn3))

    assert network.start_block.c1.weight.shape[:2] == (8, 32)
    assert network.ups[0].block.c1.weight.shape[:2] == (4, 16)
    assert [up.block is None for up in network.ups] == [False, True, True]
    mean, log_deviation = functional.leaky_relu(
        text @ state["augmentation.linear.weight"].T + state["augmentation.linear.bias"], 0.2).chunk(2, 1)
    code = mean + log_deviation.exp() * eps
    x = torch.cat([code, noise], 1) @ state["start.weight"].T + state["start.bias"]
    x = block(norm(x, network.start_norm).view(2, 32, 4, 4), network.start_block)
    for place, up in enumerate(network.ups):
        x = norm(functional.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), up.convolution.weight,
                                   padding=1), up.norm)
        x = block(x, up.block) if place == 0 else functional.relu(x)
    x = functional.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), state["to_rgb.weight"], padding=1)
    painted, condition = network(text, noise, eps)
    torch.testing.assert_close(painted, torch.tanh(x))
    torch.testing.assert_close(condition.log_variance, 2 * log_deviation)


@pytest.mark.parametrize(("size", "linear"), [(64, {1, 2}), (256, {6})])
def test_the_tensorflow_discriminators_have_no_activation_before_the_bottleneck(size: int, linear: set[int]) -> None:
    network = Discriminator(image_size=size, width=2, condition_size=3, text_size=6, joint_kernel=1, residual=True)
    assert network._linear == linear
    assert network.score.bias is None
    assert network.score_alone is None
    assert network.text.weight.shape == (3, 6)
    assert network.joint[0].kernel_size == (1, 1)
    assert [block[0].kernel_size for block in network.reductions] == ([(1, 1)] * 2 if size == 256 else [])


def test_a_modulated_sketch_hears_the_caption_in_every_layer() -> None:
    network = build_sketch_generator(stackgan_debug())
    assert isinstance(network, ModulatedSketchGenerator)
    noise, text = torch.randn(2, 4), torch.randn(2, 16)
    painted, condition = network(text, noise, None)
    assert painted.shape == (2, 3, 16, 16)
    torch.testing.assert_close(painted, network.paint(condition.mean, noise))
    torch.nn.init.zeros_(network.start.weight)  # what remains is what the modulations say
    assert (network(text, noise, None)[0] - network(-text, noise, None)[0]).abs().max() > 1e-3


def test_an_exact_refinement_scaled_down_is_the_sketch() -> None:
    config = stackgan_debug()
    sketches, code = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 8)
    apart = []
    for exact in (True, False):
        torch.manual_seed(0)
        network = build_refinement_generator(replace(config, networks=replace(config.networks, exact_sketch=exact)))
        painted = network.paint(sketches, code)
        apart.append((functional.avg_pool2d(painted, 4) - sketches).abs().max().item())
    assert apart[0] < 1e-5
    assert apart[1] > 0.01
    with pytest.raises(LimnerError, match="needs keeps_sketch=true"):
        replace(config.networks, keeps_sketch=False, exact_sketch=True)


@pytest.mark.parametrize(("config", "largest"), [(debug_form(stackgan_faces()), 0.99), (stackgan_debug(), 1.0)],
                         ids=["faces", "exact"])
def test_a_refinement_that_has_learnt_nothing_is_the_enlarged_sketch(config: StackGanConfig, largest: float) -> None:
    network = build_refinement_generator(config)
    torch.nn.init.zeros_(network.to_rgb.weight)
    flat = torch.tensor([-1.0, 0.25, 1.0])[None, :, None, None].expand(2, -1, 16, 16)
    painted = network.paint(flat, torch.randn(2, 8))
    torch.testing.assert_close(painted, flat[:, :, :1, :1].clamp(-largest, largest).expand(2, -1, 64, 64))


def test_the_refinement_may_be_narrower_than_the_sketch() -> None:
    networks = replace(stackgan_debug().networks, generator_width=8, discriminator_width=8)
    narrow = replace(networks, refinement_width=4, refinement_discriminator_width=4)
    for sizes, expected in ((networks, (8, 8)), (narrow, (4, 4))):
        stage = _stage("refinement", replace(stackgan_debug(), networks=sizes))
        assert stage.refinement is not None
        assert (stage.refinement.encode1.out_channels, stage.discriminator.layers[0].out_channels) == expected
        assert stage.sketch.to_rgb.in_channels == 4
        assert _stage("sketch", stage.config).discriminator.layers[0].out_channels == 8


def test_a_refinement_is_held_to_its_sketch() -> None:
    config, apart = debug_form(stackgan_faces()), []
    batch = Loader(corpus().split("train"), _stage("sketch", config).plan, 0).batch(0)
    for weight in (0.0, 100.0):
        stage = _stage("refinement", replace(config, refinement=replace(
            config.refinement, consistency_weight=weight, learning_rate=0.02)))
        for step in range(20):
            told = _step(stage, Told(step=step))
            assert ("inconsistency" in told) == (weight > 0)
        painted = stage._paint(stage.captions.of(batch.captions, torch.device("cpu")), as_float(batch.images), Told(),
                               "", keep=False)
        assert painted.sketches is not None
        apart.append(inconsistency(painted.images, painted.sketches))
    assert apart[1] < 0.5 * apart[0]


def test_real_and_painted_pictures_go_through_together_only_where_nothing_looks_at_the_batch() -> None:
    for config, rows in ((stackgan_debug(), [16, 8]), (debug_form(stackgan_coco()), [8, 8, 8])):
        stage = _stage("sketch", config)
        seen: list[int] = []
        first = getattr(stage.discriminator, "first", None) or stage.discriminator.layers[0]
        first.register_forward_hook(
            lambda _, inputs, output, seen=seen: seen.append(len(inputs[0])))
        _step(stage, Told(step=1))
        assert seen == rows


def test_close_wrong_captions_take_the_place_of_the_neighbours() -> None:
    """A row counts though its neighbour is of its own class, and it is told another caption."""
    config = stackgan_debug()
    config = replace(config, sketch=replace(config.sketch, close_wrong_share=1.0, wrong_captions=3))
    stage = _stage("sketch", config)
    batch = Loader(corpus().split("train"), stage.plan, 0).batch(0)
    told: list[torch.Tensor] = []
    judge = stage.discriminator.judge
    stage.discriminator.judge = lambda features, condition: (told.append(condition), judge(features, condition))[1]
    text = stage.captions.of(batch.captions, torch.device("cpu"))
    losses = stage.step(batch, Told())
    wrong = next(each for each in told if len(each) == 24)
    assert losses["wrong"] > 0
    known = {tuple(row.tolist()) for row in stage.captions.embeddings}
    assert all(tuple(row.tolist()) in known for row in wrong)
    assert not any(torch.equal(row, own) for row, own in zip(wrong, text.repeat(3, 1), strict=True))


@pytest.mark.parametrize("name", ["sketch", "refinement"])
def test_the_discriminator_sees_the_encoders_maps_and_whitened_captions(name: str) -> None:
    stage = _stage(name, stackgan_debug())
    images = torch.rand(4, 3, stage.plan.image_size, stage.plan.image_size) * 2 - 1
    seen = stage._looked(images)
    with torch.no_grad():
        for lateral in stage.discriminator.laterals:
            lateral.weight.zero_()
    blind = stage._looked(images)
    assert len(stage.discriminator.laterals) == 1  # of a picture of 16 pixels the maps of 4
    assert not torch.equal(seen, blind)
    for module in (stage.discriminator, stage.generator.augmentation):
        text = module.whitened(stage.captions.embeddings)
        torch.testing.assert_close(text.mean(0), torch.zeros(16), rtol=0, atol=1e-3)
        assert text.square().mean().item() == pytest.approx(1, rel=1e-3)
    judge = stage.captions.judge
    before = [value.clone() for value in judge.state_dict().values()]
    _step(stage, Told())
    assert all(torch.equal(*pair) for pair in zip(before, judge.state_dict().values(), strict=True))


def test_variety_paints_half_the_captions_twice() -> None:
    stage = _stage("sketch", debug_form(stackgan_faces()))
    assert stage.gan.variety_weight
    seen: list[torch.Tensor] = []
    stage.sketch.register_forward_hook(lambda _, inputs, output: seen.extend(inputs))
    losses = _step(stage, Told())
    text, noise, condition_noise = seen
    assert torch.equal(text[:4], text[4:])
    assert torch.equal(condition_noise[:4], condition_noise[4:])
    assert not torch.equal(noise[:4], noise[4:])
    assert 0 < losses["variety"] <= stage.gan.variety_goal
    plain = _stage("sketch", debug_form(stackgan_coco()))
    assert not {"variety", "energy", "error", "nats"} & _step(plain, Told()).keys()


def test_half_of_the_pictures_are_restored_and_captions_of_the_others_painted_twice() -> None:
    stage = _stage("sketch", stackgan_debug())
    batch = Loader(corpus().split("train"), stage.plan, 0).batch(0)
    own = stage.captions.of(batch.captions, torch.device("cpu"))
    drawn = {"noise": torch.randn(8, 4), "sketch": torch.randn(8, 8)}
    painted = stage._paint(stage._asked(own), as_float(batch.images), Told(noise=drawn), "", keep=False)
    assert torch.equal(stage._asked(own), own[[0, 1, 2, 3, 4, 5, 4, 5]])
    assert painted.recognised is not None
    assert torch.equal(painted.noise, torch.cat([painted.recognised.code, drawn["noise"][4:]]))
    torch.testing.assert_close(painted.condition.code[:4], painted.condition.mean[:4])
    assert torch.equal(painted.condition.code[4:6], painted.condition.code[6:])
    assert (painted.condition.code[4:] != painted.condition.mean[4:]).all()


@pytest.mark.parametrize("name", ["sketch", "refinement"])
def test_a_stage_learns_to_restore_pictures(name: str) -> None:
    config, errors = stackgan_debug(), []
    for weight in (1e-6, 300.0):
        stage = _stage(name, replace(config, **{name: replace(
            getattr(config, name), reconstruction_weight=weight, energy_weight=0.0, consistency_weight=0.0,
            learning_rate=0.01)}))
        torch.nn.init.normal_(stage.generator.to_rgb.weight, generator=torch.Generator().manual_seed(1))
        errors.append([_step(stage, Told(step=step))["error"].item() for step in range(30)][-1])
    assert errors[1] < 0.5 * errors[0]


def test_a_refinement_restores_pictures_from_themselves_scaled_down() -> None:
    stage = _stage("refinement", stackgan_debug())
    batch = Loader(corpus().split("train"), stage.plan, 0).batch(0)
    text, real = stage.captions.of(batch.captions, torch.device("cpu")), as_float(batch.images)
    painted = stage._paint(text, real, Told(), "", keep=False)
    assert painted.sketches is not None
    assert painted.recognised is None
    torch.testing.assert_close(painted.sketches[:4], functional.avg_pool2d(real[:4], 4))
    sketches, _ = stage.sketch(text, torch.randn(8, 4), None)
    assert painted.sketches.shape == sketches.shape


@pytest.mark.parametrize("config", [stackgan_debug(), debug_form(stackgan_coco())], ids=["ours", "theirs"])
@pytest.mark.parametrize("name", ["sketch", "refinement"])
def test_every_eighth_step_pays_for_steep_scores(name: str, config: StackGanConfig) -> None:
    gan = getattr(config, name)
    losses = {}
    for weight in (0.0, 3.0):
        stage = _stage(name, replace(config, **{name: replace(gan, gradient_penalty=weight)}))
        losses[weight] = _step(stage, Told())
    assert "penalty" not in losses[0.0]
    assert losses[3.0]["discriminator"] > losses[0.0]["discriminator"]
    assert "penalty" not in _step(stage, Told(step=1))
    assert "penalty" in _step(stage, Told(step=8))


@pytest.mark.parametrize("name", ["sketch", "refinement"])
def test_steep_scores_of_paintings_cost_as_well(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = stackgan_debug()
    seen: list[torch.Tensor] = []
    monkeypatch.setattr("limner.systems.stackgan.stages.steepness",
                        lambda score, images: (seen.append(images), steepness(score, images))[1])
    gan = replace(getattr(config, name), gradient_penalty=0.0, painted_penalty=3.0)
    stage = _stage(name, replace(config, **{name: gan}))
    painted: list[torch.Tensor] = []
    stage.generator.register_forward_hook(lambda _, inputs, output: painted.append(output[0]))
    losses = _step(stage, Told())
    assert "penalty" not in losses
    torch.testing.assert_close(losses["discriminator"], losses["real"] + (losses["wrong"] + losses["fake"]) / 2
                               + 8 * 3.0 * losses["painted_penalty"])
    assert torch.equal(seen[0], painted[0].detach())
    assert "painted_penalty" not in _step(stage, Told(step=1))
    with pytest.raises(LimnerError, match="painted_penalty must be at least 0"):
        replace(gan, painted_penalty=-1.0)


def test_the_learning_rate_falls_to_zero_from_a_fraction_on() -> None:
    stage = _stage("sketch", stackgan_debug())
    rates = []
    for fraction in (0.0, 0.5, 0.75, 1.0):
        _step(stage, Told(fraction=fraction))
        rates.append(stage.optimisers["sketch"].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 0])


@pytest.mark.parametrize(("part", "changes", "words"), [
    ("networks", {"image_size": 16}, "image_size must be above sketch_size"),
    ("networks", {"sketch_size": 48}, "powers of two from 16 up, got 48"),
    ("networks", {"generator_width": 1}, "leaves no channels"),
    ("networks", {"refinement_width": 3}, "refinement_width 3 leaves no channels"),
    ("networks", {"refinement_discriminator_width": -1}, "refinement_discriminator_width must be at least 0"),
    ("networks", {"discriminator": "release"}, "lent to the discriminator 'matching' only"),
    ("text", {"image_size": 64}, "set networks.encoder_maps=false"),
    ("networks", {"first_deviation": 1.5}, "first_deviation must be above 0"),
    ("networks", {"condition_activation": "relu"}, "1 with condition_activation 'relu'"),
    ("networks", {"residual_blocks": -1}, "residual_blocks must be at least 0"),
    ("networks", {"sketch_residual": True}, "needs sketch_residual=false"),
    ("sketch", {"batch_size": 1}, "batch_size must be at least 2"),
    ("sketch", {"learning_rate": 0.0}, "learning_rate must be between"),
    ("sketch", {"second_beta": 1.0}, "second_beta must be between"),
    ("sketch", {"kl_weight": -1.0}, "kl_weight must be at least 0"),
    ("sketch", {"gradient_penalty": -1.0}, "gradient_penalty must be at least 0"),
    ("sketch", {"augment": "rotation"}, "got rotation"),
    ("sketch", {"close_wrong_share": 1.5}, "close_wrong_share must be between 0 and 1"),
    ("sketch", {"batch_size": 6}, "batch_size must be a multiple of 4"),
    ("refinement", {"batch_size": 7}, "batch_size must be a multiple of 2"),
    ("sketch", {"energy_weight": -1.0}, "energy_weight must be at least 0"),
    ("sketch", {"reconstruction_weight": -1.0}, "reconstruction_weight must be at least 0"),
    ("sketch", {"recognition_weight": -1.0}, "recognition_weight must be at least 0"),
    ("networks", {"recognition_width": 0}, "recognition_width must be at least 1"),
    ("sketch", {"wrong_captions": -1}, "wrong_captions must be at least 0"),
    ("sketch", {"wrong_captions": 0}, "close_wrong_share is a share of wrong_captions"),
    ("sketch", {"frozen_statistics": True}, "set them in refinement"),
    ("sketch", {"consistency_weight": 1.0}, "set them in refinement"),
    ("refinement", {"consistency_weight": -1.0}, "consistency_weight must be at least 0"),
    ("refinement", {"wrong": "image"}, "wrong_captions does not go with wrong images"),
])
def test_a_bad_value_is_refused_before_any_work(part: str, changes: dict[str, Any], words: str) -> None:
    config = stackgan_debug()
    with pytest.raises(LimnerError, match=words):
        replace(config, **{part: replace(getattr(config, part), **changes)})


def test_the_defaults_are_the_pytorch_release_and_the_preset_the_other() -> None:
    differ = {name for name, value in vars(TENSORFLOW).items() if value != getattr(Networks(), name)}
    assert differ == {"condition_activation", "condition_deviation", "condition_noise", "noise_first",
                      "sketch_residual", "discriminator_residual", "discriminator_reads", "joint_kernel",
                      "unconditional"}
