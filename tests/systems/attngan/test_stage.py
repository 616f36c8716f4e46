"""What is not the authors': normalisation, wrong captions, variety; and the options that their vectors do not cover."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from limner.config import from_json, to_json
from limner.data.batch import Batch
from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.errors import LimnerError
from limner.matching.damsm.config import DamsmImage
from limner.nn.matching_discriminator import WordMatchingDiscriminator
from limner.nn.modulation import Modulation
from limner.nn.whitening import Whitened
from limner.painting.painter import Painter
from limner.systems import get_system
from limner.systems.attngan.attention import WordLookup
from limner.systems.attngan.config import AttnGanConfig
from limner.systems.attngan.losses import Read, Wrong, discriminator_loss
from limner.systems.attngan.networks import Discriminator, ModulatedGenerator
from limner.systems.attngan.presets import attngan_debug, attngan_paper_debug
from limner.systems.attngan.stage import AttnGanStage
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.settings import RunSettings
from limner.training.stage import Components

SYSTEM = get_system("attngan")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus({"train": PictureSet.from_arrays(*shapes_arrays(24, size=64, split="train"))})


def _stage(config: AttnGanConfig, corpus: Corpus) -> tuple[AttnGanStage, Components]:
    damsm = SYSTEM.build_stage("damsm", config, corpus, Components(), 0)
    components = damsm.components(damsm.modules)
    stage = SYSTEM.build_stage("gan", config, corpus, components, 0)
    assert isinstance(stage, AttnGanStage)
    return stage, components


def _context(step: int = 0) -> LoopContext:
    return LoopContext(launch(RunSettings(device="cpu", precision="32", threads=1)), 0, "gan", step, 0, 48)


def _batch(stage: AttnGanStage) -> Batch:
    return Loader(stage.pictures, stage.plan, 0).batch(0)


def _read(sentences: Tensor) -> Read:
    """Captions for discriminators that read no words."""
    return Read(sentences, torch.empty(len(sentences), 8, 0), torch.empty(len(sentences), 0, dtype=torch.bool))


def _losses(network: Discriminator, *, together: bool, **arguments: Read | Wrong) -> Tensor:
    numbers = torch.Generator().manual_seed(1)
    real, fake, sentences = (torch.randn(*shape, generator=numbers) for shape in ((4, 3, 16, 16),) * 2 + ((4, 8),))
    network.by_batch = not together
    return torch.stack(discriminator_loss(network, real, fake, _read(sentences), **arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize("unconditional", [True, False])
def test_pictures_may_pass_in_one_go_without_batch_normalisation(unconditional: bool) -> None:
    torch.manual_seed(0)
    network = Discriminator(side=16, text_size=8, width=4, norm="spectral", unconditional=unconditional).eval()
    assert not network.by_batch
    wrong = Wrong(_read(torch.randn(4, 8)), torch.tensor([1.0, 0.0, 1.0, 1.0]))
    for arguments in ({}, {"told": _read(torch.randn(4, 8)), "wrong": wrong}):
        torch.testing.assert_close(_losses(network, together=True, **arguments),
                                   _losses(network, together=False, **arguments))


def test_both_whitenings_know_the_captions(corpus: Corpus) -> None:
    stage, _ = _stage(attngan_debug(), corpus)
    assert stage.table is not None
    for network in stage.modules.values():
        [whitened] = [module for module in network.modules() if isinstance(module, Whitened)]
        torch.testing.assert_close(whitened.mean, stage.table.embeddings.mean(0))


def test_maps_are_lent_by_the_small_encoder_only() -> None:
    config = attngan_debug()
    for damsm in (replace(config.damsm, image_size=48), replace(config.damsm, image=DamsmImage(
            architecture="inception"), image_size=299, naming_weight=0.0)):
        with pytest.raises(LimnerError, match="image encoder small has feature maps"):
            replace(config, damsm=damsm)


def test_maps_are_lent_to_our_discriminator_only() -> None:
    gan = attngan_debug().gan
    with pytest.raises(LimnerError, match="lent to the discriminator 'matching' only"):
        replace(gan, discriminator="spectral")


def test_a_wrong_pair_without_weight_does_not_count() -> None:
    torch.manual_seed(0)
    network = Discriminator(side=16, text_size=8, width=4, norm="spectral").eval()
    sentences, other = torch.randn(4, 8), torch.randn(4, 8)
    changed = torch.where(torch.tensor([[False], [True], [False], [False]]), other, sentences)
    weights = torch.tensor([1.0, 0.0, 1.0, 1.0])
    losses = [_losses(network, together=True, wrong=Wrong(_read(captions), weights))
              for captions in (sentences, changed)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("discriminator", ["batch", "spectral", "matching"])
def test_every_discriminator_trains_on_close_wrong_captions_and_variety(discriminator: str, corpus: Corpus) -> None:
    plain: dict[str, Any] = to_json(attngan_debug())
    plain["gan"] |= {"discriminator": discriminator, "encoder_maps": discriminator == "matching",
                      "judged_heads": 2 * (discriminator == "matching"), "close_wrong_share": 0.5,
                      "variety_weight": 1.0}
    stage, _ = _stage(from_json(AttnGanConfig, plain), corpus)
    before = {name: [p.clone() for p in module.parameters()] for name, module in stage.modules.items()}
    losses = stage.step(_batch(stage), _context())
    assert 0 < losses["variety"] <= stage.gan.variety_goal + 1e-6
    assert all(torch.isfinite(value) for value in losses.values())
    for name, module in stage.modules.items():
        assert any(not torch.equal(old, new) for old, new in zip(before[name], module.parameters(), strict=True)), name


def test_wrong_captions_are_the_same_by_number(corpus: Corpus) -> None:
    stage, _ = _stage(attngan_debug(), corpus)
    assert stage.table is not None
    batch, table = _batch(stage), stage.table
    captions, kinds = batch.captions[:, 0], batch.indices if batch.labels is None else batch.labels
    for share in (0.0, 0.5):
        numbers, wrong = table.wrong_numbers(captions, kinds, _context(), close_share=share, count=3)
        others, differs = table.wrong(table.embeddings[captions], captions, kinds, _context(), close_share=share,
                                      count=3)
        assert torch.equal(table.embeddings[numbers], others)
        assert torch.equal(wrong, differs)


def test_the_largest_pictures_are_judged_by_the_words_of_wrong_captions_too(corpus: Corpus) -> None:
    stage, _ = _stage(attngan_debug(), corpus)
    small, large = stage.discriminators.values()
    assert not isinstance(small, WordMatchingDiscriminator)
    assert isinstance(large, WordMatchingDiscriminator)
    batch = _batch(stage)
    wrong = stage._wrong(batch.captions[:, 0], batch.indices, _context())
    assert wrong is not None
    numbers, _ = stage.table.wrong_numbers(  # type: ignore[union-attr]
        batch.captions[:, 0], batch.indices, _context(), close_share=stage.gan.close_wrong_share,
        count=stage.gan.wrong_captions)
    theirs = stage.scorer.captions([stage.pictures.captions[int(number)] for number in numbers])
    torch.testing.assert_close(wrong.text.sentences, theirs)
    assert torch.equal((~wrong.text.padding).sum(1), torch.tensor(
        [len(stage.pictures.captions[int(number)].split()) for number in numbers]))


def test_every_eighth_step_pays_for_steep_scores_of_every_size(corpus: Corpus) -> None:
    config = attngan_debug()
    steep = replace(config, gan=replace(config.gan, gradient_penalty=3.0, painted_penalty=0.0))
    plain = replace(config, gan=replace(config.gan, gradient_penalty=0.0, painted_penalty=0.0))
    losses = {}
    for name, each in (("plain", plain), ("steep", steep)):
        stage, _ = _stage(each, corpus)
        losses[name] = stage.step(_batch(stage), _context())
    painted, _ = _stage(replace(config, gan=replace(config.gan, gradient_penalty=0.0, painted_penalty=3.0)), corpus)
    losses["painted"] = painted.step(_batch(painted), _context())
    first = next(name for name in losses["plain"] if name.startswith("discriminator"))
    assert losses["painted"][first] > losses["plain"][first]
    assert losses["painted"].keys() - losses["plain"].keys() == {"painted_penalty"}
    assert losses["steep"][first] > losses["plain"][first]
    assert losses["steep"]["penalty"] > 0
    stage, _ = _stage(steep, corpus)
    assert "penalty" not in stage.step(_batch(stage), _context(1))
    assert "penalty" in stage.step(_batch(stage), _context(8))
    with pytest.raises(LimnerError, match="gradient_penalty must be at least 0, got -1"):
        replace(config.gan, gradient_penalty=-1.0)
    with pytest.raises(LimnerError, match="painted_penalty must be at least 0, got -1"):
        replace(config.gan, painted_penalty=-1.0)


@pytest.mark.parametrize("heads", [0, 2])
def test_the_modulated_generator_knows_no_batch_and_hears_the_caption_in_every_layer(heads: int) -> None:
    torch.manual_seed(0)
    generator = ModulatedGenerator(sides=(16, 32), text_size=8, noise_size=4, condition_size=4, width=4,
                                   residual_blocks=1, word_heads=heads).double()
    inputs = [torch.randn(3, *shape, dtype=torch.float64) for shape in ((4,), (4,), (8,), (8, 5))]
    padding = torch.arange(5) >= torch.tensor([[5], [3], [2]])
    painted = generator(*inputs, padding)
    alone = generator(*(part[1:2] for part in inputs), padding[1:2])
    for together, single in zip(painted.images + painted.shares, alone.images + alone.shares, strict=True):
        torch.testing.assert_close(together[1:2], single)
    assert [image.shape[-1] for image in painted.images] == [16, 32]
    torch.testing.assert_close(painted.shares[0].sum(1), torch.ones(3, 16, 16))
    assert (painted.shares[0][1, 3:] == 0).all()
    sum(image.sum() for image in painted.images).backward()
    modulations = [module for module in generator.modules() if isinstance(module, Modulation)]
    assert len(modulations) == 2 * (2 + 1 + 1)
    for modulation in modulations:
        gradient = modulation.to_scale_and_shift.weight.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_places_look_words_up_by_what_they_hold_and_where_they_are() -> None:
    torch.manual_seed(0)
    lookup = WordLookup(8, 6, side=4, heads=2)
    x, words = torch.randn(2, 8, 4, 4), torch.randn(2, 6, 5)
    padding = torch.arange(5) >= torch.tensor([[5], [3]])
    answers, shares = lookup(x, words, padding, None)
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 4, 4))
    assert (shares[1, 3:] == 0).all()
    order = torch.tensor([2, 0, 1, 4, 3])
    again, turned = lookup(x, words[:, :, order], padding[:, order], None)
    torch.testing.assert_close(again, answers)
    torch.testing.assert_close(turned, shares[:, order])
    torch.testing.assert_close(lookup(x, words.masked_fill(padding[:, None], 9.0), padding, None)[0], answers)
    hidden = torch.zeros(2, 5)
    hidden[0, 1] = -torch.inf
    assert (lookup(x, words, padding, hidden)[1][0, 1] == 0).all()
    same = lookup(torch.ones(1, 8, 1, 1).expand(1, 8, 4, 4), words[:1], padding[:1], None)[0].flatten(2)[0]
    assert torch.cdist(same.T, same.T)[~torch.eye(16, dtype=torch.bool)].min() > 1e-3


def test_all_rates_fall_to_zero_from_a_fraction_on(corpus: Corpus) -> None:
    config = attngan_debug()
    stage, _ = _stage(replace(config, gan=replace(config.gan, decay_from=0.5, discriminator_rate=2e-3)), corpus)
    rates = []
    for seen in (0, 24, 36, 48):
        context = replace(_context(), images_seen=seen)
        stage.step(_batch(stage), context)
        rates.append([group["lr"] for optimiser in stage.optimisers.values() for group in optimiser.param_groups])
    assert [each[0] for each in rates] == pytest.approx([1e-3, 1e-3, 5e-4, 0])
    assert [each[-1] for each in rates] == pytest.approx([2e-3, 2e-3, 1e-3, 0])


@pytest.mark.parametrize(("changes", "words"), [
    ({"decay_from": 1.5}, "decay_from must be between 0 and 1, got 1.5"),
    ({"kl_weight": -1.0}, "kl_weight must be at least 0, got -1"),
    ({"modulated": True, "official_mask": True}, "has no official_mask"),
    ({"modulated": False, "word_heads": 2}, "0 without modulated, got 2"),
    ({"word_heads": -1}, "word_heads must be at least 0"),
    ({"judged_heads": -1}, "judged_heads must be at least 0"),
    ({"discriminator": "spectral", "encoder_maps": False}, "0 without the discriminator 'matching'.*, got 4"),
])
def test_a_bad_value_of_ours_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LimnerError, match=words):
        replace(attngan_debug().gan, **changes)


def test_variety_paints_half_the_captions_twice(corpus: Corpus) -> None:
    config = attngan_debug()
    stage, _ = _stage(replace(config, gan=replace(config.gan, variety_weight=1.0, energy_weight=0.0,
                                                  reconstruction_weight=0.0)), corpus)
    seen: list[Tensor] = []
    stage.generator.register_forward_hook(lambda module, inputs, output: seen.extend((*inputs, output.images[-1])))
    stage.step(_batch(stage), _context())
    noise, condition_noise, sentences, words, padding, images = seen
    for same in (sentences, words, padding, condition_noise):
        first, second = same.chunk(2)
        assert torch.equal(first, second)
    for differs in (noise, images):
        first, second = differs.chunk(2)
        assert (first != second).flatten(1).any(1).all()


def test_close_wrong_captions_are_other_captions_and_closer(corpus: Corpus) -> None:
    stage, _ = _stage(attngan_debug(), corpus)
    batch = _batch(stage)
    tokens, lengths = stage.captions.take(batch.captions, _context())
    sentences = stage._read(tokens, lengths, stage.captions.steps, torch.device("cpu")).sentences
    kinds = batch.labels if batch.labels is not None else batch.indices
    distances = []
    for share in (0.0, 1.0):
        stage.gan = replace(stage.gan, close_wrong_share=share)
        wrong = stage._wrong(batch.captions[:, 0], kinds, _context())
        assert wrong is not None
        own = sentences.repeat(stage.gan.wrong_captions, 1)
        assert (wrong.text.sentences != own).any(1).all()
        distances.append((wrong.text.sentences - own).norm(dim=1).mean())
    assert (wrong.weights == 1).all()
    assert distances[1] < distances[0]


def test_half_of_the_pictures_are_restored_and_captions_of_the_others_painted_twice(corpus: Corpus) -> None:
    config = attngan_debug()
    stage, _ = _stage(config, corpus)
    seen: list[Tensor] = []
    stage.generator.register_forward_hook(lambda module, inputs, output: seen.extend((*inputs, output.images[-1])))
    batch = _batch(stage)
    losses = stage.step(batch, _context())
    noise, condition_noise, sentences, words, padding, images = seen
    for same in (sentences, words, padding, condition_noise):
        assert torch.equal(same[4:6], same[6:])
    assert (images[4:6] != images[6:]).flatten(1).any(1).all()
    assert not condition_noise[:4].any()
    assert condition_noise[4:].all()
    drawn = _context().normal("noise", 8, config.gan.noise_size)
    assert torch.equal(noise[4:], drawn[4:])
    assert not torch.equal(noise[:4], drawn[:4])
    tokens, lengths = stage.captions.take(batch.captions, _context())
    own = stage._read(tokens, lengths, stage.captions.steps, torch.device("cpu")).sentences
    for rows, of in ((sentences[:4], own[:4]), (sentences[4:6], own[4:6])):  # sorted by length, of the batch as drawn
        assert torch.cdist(rows, of).min(1).values.max() < 1e-5
    assert losses["energy"] > 0
    assert losses["error"] > 0
    assert losses["nats"] > 0


def test_it_learns_to_restore_pictures(corpus: Corpus) -> None:
    config, errors = attngan_debug(), []
    for weight in (1e-6, 300.0):
        stage, _ = _stage(replace(config, gan=replace(config.gan, energy_weight=0.0, reconstruction_weight=weight,
                                                      generator_rate=0.01)), corpus)
        errors.append([stage.step(_batch(stage), _context(step))["error"].item() for step in range(30)][-1])
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("debug", [attngan_paper_debug(), attngan_debug()], ids=["theirs", "ours"])
def test_the_form_with_one_picture_trains_and_paints(debug: AttnGanConfig, corpus: Corpus) -> None:
    config = replace(debug, gan=replace(debug.gan, dcgan=True, residual_blocks=0))
    stage, components = _stage(config, corpus)
    recognition = ["recognition"] if config.gan.reconstruction_weight else []
    assert list(stage.modules) == ["generator", "discriminator64", *recognition]
    network = stage.discriminators["discriminator64"]
    width = 8 * config.gan.discriminator_width
    assert network.judge_alone(torch.zeros(2, width, 4, 4)) is None
    losses = stage.step(_batch(stage), _context())
    assert all(torch.isfinite(value) for value in losses.values())
    painter = SYSTEM.build_painter(config, components | stage.components(stage.modules))
    painting = Painter(SYSTEM, config, painter)("a small red ring", seed=1)
    assert painting.image.size == (64, 64)
    assert not painting.stages
    assert list(painting.attention) == [str(side) for side in config.gan.sides[1:]]


def test_a_gated_recurrent_unit_reads_captions_as_well(corpus: Corpus) -> None:
    debug = attngan_debug()
    config = replace(debug, damsm=replace(debug.damsm, text=replace(debug.damsm.text, recurrence="gru")))
    stage, components = _stage(config, corpus)
    assert isinstance(stage.scorer.text_encoder.recurrence, torch.nn.GRU)
    assert all(torch.isfinite(value) for value in stage.step(_batch(stage), _context()).values())
    painter = SYSTEM.build_painter(config, components | stage.components(stage.modules))
    assert Painter(SYSTEM, config, painter)("a small red ring", seed=1).attention["64"].maps.shape == (4, 32, 32)


@pytest.mark.parametrize(("changes", "words"), [
    ({"close_wrong_share": 0.5, "wrong_captions": 0}, "close_wrong_share"),
    ({"wrong_captions": -1}, "wrong_captions must be at least 0"),
    ({"close_wrong_share": 1.5}, "close_wrong_share"),
    ({"reconstruction_weight": 0.0, "batch_size": 7}, "a multiple of 2"),
    ({"energy_weight": 1.0, "reconstruction_weight": 1.0, "batch_size": 6}, "a multiple of 4"),
    ({"energy_weight": -1.0}, "energy_weight"),
    ({"reconstruction_weight": -1.0}, "reconstruction_weight"),
    ({"recognition_weight": -1.0}, "recognition_weight"),
    ({"recognition_width": 0}, "recognition_width"),
    ({"variety_weight": -1.0}, "variety_weight"),
    ({"first_deviation": 0.0}, "first_deviation must be above 0"),
    ({"base_size": 48}, "power of two"),
])
def test_a_bad_configuration_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LimnerError, match=words):
        replace(attngan_debug().gan, **changes)
