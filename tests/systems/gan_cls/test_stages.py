from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.systems.gan_cls import official, small

from limner.data.batch import Batch
from limner.data.loader import Loader
from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.nn.initialisation import convolution_biases
from limner.systems.captions import Captions
from limner.systems.gan_cls.config import GanClsConfig, PaperGan, StyleConfig
from limner.systems.gan_cls.presets import gan_cls_debug, gan_cls_paper_debug
from limner.systems.gan_cls.stages import PaperGanStage, StyleEncoderStage
from limner.training.schedule import Schedule


def _paper(**changes: object) -> GanClsConfig:
    config = gan_cls_paper_debug()
    return replace(config, gan=replace(config.gan, **changes))


def _stage(config: GanClsConfig) -> PaperGanStage:
    return small.built("gan", config, small.fresh(config, until="gan"))


def _golden_stage(name: str, golden: dict[str, np.ndarray]) -> PaperGanStage:
    """The real stage with the reference networks, in float64."""
    base = gan_cls_paper_debug()
    matching = replace(base.matching, text=replace(base.matching.text, embedding=10))
    interpolates = name == "int_cls_step"
    gan = PaperGan(schedule=base.gan.schedule, script="main_cls_int" if interpolates else "main_cls", noise_size=5,
                   text_projection=6, generator_width=4, discriminator_width=4, batch_size=4,
                   cls_weight=float(golden["hyper/cls_weight"]),
                   interp_weight=float(golden["hyper/interp_weight"]) if interpolates else 0.0)
    stage = _stage(GanClsConfig(matching=matching, gan=gan))
    for prefix, network in (("G0/", stage.generator), ("D0/", stage.discriminator)):
        official.load(network.double(), official.state(golden, prefix))
        network.register_forward_pre_hook(lambda module, inputs: tuple(value.double() for value in inputs))
    stage.captions.embeddings = torch.from_numpy(golden["in/txt"]).double()
    return stage


@pytest.mark.parametrize("name", ["int_cls_step", "cls_step"])
def test_the_stage_takes_the_authors_step(name: str) -> None:
    golden = official.arrays(name)
    stage = _golden_stage(name, golden)
    real, wrong = ((torch.from_numpy(golden[f"in/{key}"]).double() + 1) * 127.5 for key in ("real", "wrong"))
    batch = Batch(indices=torch.arange(4), images=real, captions=torch.arange(4)[:, None], wrong_images=wrong)
    noise = {purpose: torch.from_numpy(golden[f"in/noise_{key}"]).double().flatten(1)
             for purpose, key in (("discriminator", "d"), ("generator", "g"))}
    losses = stage.step(batch, small.Told(noise))
    # pictures pass through float32 (0..255), so everything is right to about 1e-6 and no better
    for ours, theirs in (("discriminator", "errD"), ("real", "bce_real"), ("wrong", "bce_wrong_unweighted"),
                         ("fake", "bce_fake_unweighted"), ("generator", "errG")):
        assert losses[ours].item() == pytest.approx(float(golden[f"out/{theirs}"]), rel=2e-6), ours
    for letter, network in (("D", stage.discriminator), ("G", stage.generator)):
        biases = {id(bias) for bias in convolution_biases(network)}
        gradients = official.state(golden, f"grad{letter}/")
        ours = dict(network.named_parameters())
        for key, stored in official.state(golden, f"{letter}1/").items():
            if id(ours[key]) in biases:
                assert not ours[key].any()
                continue
            sure = gradients[key].abs() > 1e-5  # Adam's first step is lr * sign(gradient) where that is larger
            torch.testing.assert_close(ours[key][sure], stored[sure], rtol=1e-6, atol=2e-7, msg=f"{letter} {key}")
        buffers = dict(network.named_buffers())
        for key, stored in golden.items():
            if key.startswith(f"{letter}_running_end/"):
                layer, kind = official.our_name(key.partition("/")[2]).rsplit(".", 1)
                np.testing.assert_allclose(buffers[f"{layer}.running_{kind}"].numpy(), stored, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("cls_weight", "interp_weight", "rows"), [(0, 0, 8), (0.5, 0, 8), (0, 1, 12), (0.5, 1, 12)])
def test_the_weights_choose_between_the_four_systems(cls_weight: float, interp_weight: float, rows: int) -> None:
    stage = _stage(_paper(cls_weight=cls_weight, interp_weight=interp_weight))
    watched = small.Told(watched=stage.modules)
    losses = stage.step(Loader(small.corpus().split("train"), stage.plan, 0).batch(0), watched)
    assert stage.plan.wrong_images == (cls_weight > 0) == ("wrong" in losses)
    assert watched.asked == {"discriminator": (8, 4), "generator": (rows, 4)}
    assert watched.changed == [["discriminator"], ["generator"]]
    assert all(torch.isfinite(value) for value in losses.values())
    learnt = [p for p in stage.discriminator.parameters() if p.requires_grad]
    assert len(learnt) == len(list(stage.discriminator.parameters())) - len(list(
        convolution_biases(stage.discriminator)))


def test_random_interpolation_is_drawn_for_each_pair() -> None:
    stage = _stage(_paper(interp_type=2))
    watched = small.Told()
    stage.step(Loader(small.corpus().split("train"), stage.plan, 0).batch(0), watched)
    assert watched.asked["interpolation"] == (4,)


def test_the_learning_rate_is_halved_at_the_start_of_every_second_epoch() -> None:
    stage = _stage(_paper(halve_every=2))
    rates = []
    for images_seen in (0, 23, 24, 71, 72, 120):  # an epoch is 24 pictures; halved at the start of epochs 2, 4, 6
        small.step(stage, small.context(images_seen=images_seen))
        rates.append([group["lr"] / 2e-4 for optimiser in stage.optimisers.values()
                      for group in optimiser.param_groups])
    assert rates == [[1, 1], [1, 1], [0.5, 0.5], [0.5, 0.5], [0.25, 0.25], [0.125, 0.125]]


def test_samples_put_the_same_noise_in_a_column() -> None:
    stage = _stage(_paper())
    with torch.no_grad():
        samples = stage.sample(small.context(), stage.modules)
    assert samples.images.shape == (64, 64, 64, 3)
    assert len(set(samples.captions)) > 1
    assert set(samples.captions) <= set(small.corpus().split("val").captions)
    figures = stage.validate(small.context(), stage.modules)
    assert 0 <= figures["agreement"] <= 1


def test_agreement_is_full_where_the_judge_sees_the_caption() -> None:
    """A painter that writes its caption's embedding into the picture, and a judge that reads it out."""
    config = gan_cls_debug()
    captions = small.built("gan", config, small.fresh(config, until="gan")).captions
    size = config.matching.text.embedding
    known = torch.nn.functional.normalize(torch.randn(256, size, generator=torch.Generator().manual_seed(0)))
    captions._held_out = known[: len(captions._held_out)]

    class Judge(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, 0, 0, :size]

    captions.judge = Judge()

    def paint(noise: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(text, (0, 64 - size))[:, None, None].expand(-1, 3, 64, -1)

    assert captions.agreement(paint, 4, torch.device("cpu")) == 1
    shuffled = captions.agreement(lambda noise, text: paint(noise, text.roll(1, 0)), 4, torch.device("cpu"))
    assert shuffled < 0.3


def test_memorised_says_where_held_out_pictures_stand_between_training_ones_and_paintings() -> None:
    config = gan_cls_debug()
    captions = small.built("gan", config, small.fresh(config, until="gan")).captions
    corpus = small.corpus()
    pixels = {split: torch.from_numpy(corpus.split(split).pixels(64)).flatten(1) for split in ("train", "val")}

    def memorised(held_out: float) -> float | None:
        """A judge that knows every picture: 3 for those of training, -1 for paintings, which are black."""
        def judge(images: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            seen = ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).flatten(1)
            known, strange = ((seen[:, None] == pixels[split]).all(2).any(1) for split in ("train", "val"))
            return torch.where(strange, held_out, torch.where(known, 3.0, -1.0))

        return captions.memorised(judge, lambda noise, text: torch.full((len(text), 3, 64, 64), -1.0), 4, size=64,
                                  device=torch.device("cpu"))

    assert [memorised(score) for score in (3.0, -1.0, 1.0)] == [0, 1, 0.5]
    alone = Captions(Corpus({"train": corpus.split("train")}), lambda texts: torch.zeros(len(texts), 2))
    assert alone.memorised(lambda images, text: text, lambda noise, text: text, 4, size=64,
                           device=torch.device("cpu")) is None


def test_a_run_reports_it_for_our_discriminators() -> None:
    config = gan_cls_debug()
    stage = small.built("gan", config, small.fresh(config, until="gan"))
    assert math.isfinite(stage.validate(small.context(), stage.modules)["memorised"])


def test_the_style_encoder_learns_the_noise_and_leaves_the_generator_alone() -> None:
    config = replace(gan_cls_debug(), style=StyleConfig(schedule=Schedule(images=64), width=8, batch_size=16,
                                                        learning_rate=2e-3))
    stage: StyleEncoderStage = small.built("style-encoder", config, small.fresh(config, until="style-encoder"))
    before = [value.clone() for value in stage.generator.state_dict().values()]
    losses = [small.step(stage, small.context(step=number))["style"].item() for number in range(40)]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert np.mean(losses[-5:]) < 0.5  # the noise has variance 1, so a guess of 0 costs 1
    assert small.equal(before, stage.generator.state_dict().values())


@pytest.mark.parametrize(("part", "changes", "words"), [
    ("gan", {"batch_size": 7}, "batch_size must be even"),
    ("gan", {"batch_size": 0}, "batch_size must be at least 1"),
    ("gan", {"scale_size": 64}, r"scale_size must be 0 \(no crop\) or at least 65"),
    ("gan", {"cls_weight": 1.5}, "cls_weight must be between 0 and 1"),
    ("gan", {"large": True}, "large is an option of the script main_cls only"),
    ("matching", {"image_size": 32, "scale_size": 0}, "must be equal, got 32 and 64"),
    ("matching", {"scale_size": 32}, "scale_size 0"),
    ("improved", {"batch_size": 1}, "batch_size must be at least 2"),
    ("improved", {"image_size": 48}, "image_size must be a power of two"),
    ("improved", {"augment": "rotation"}, "got rotation"),
    ("improved", {"scale_size": 60}, "scale_size must be 0"),
    ("improved", {"wrong_captions": 0}, "wrong_captions must be at least 1"),
    ("improved", {"close_wrong_share": -1.0}, "close_wrong_share must be between 0 and 1"),
    ("improved", {"generator_rate": 0.0}, "generator_rate must be between"),
    ("improved", {"variety_weight": 1.0, "batch_size": 7}, "batch_size must be even"),
])
def test_a_bad_value_is_refused_before_any_work(part: str, changes: dict[str, object], words: str) -> None:
    config = gan_cls_debug() if part == "improved" else gan_cls_paper_debug()
    part = "gan" if part == "improved" else part
    with pytest.raises(LimnerError, match=words):
        replace(config, **{part: replace(getattr(config, part), **changes)})


def test_a_style_encoder_needs_pictures_of_64_pixels() -> None:
    config = gan_cls_debug()
    with pytest.raises(LimnerError, match="style encoder reads pictures of 64 pixels"):
        GanClsConfig(matching=replace(config.matching, image_size=32), gan=replace(config.gan, image_size=32),
                     style=StyleConfig(schedule=Schedule(images=8)))
