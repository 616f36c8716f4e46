"""AttnGAN's networks, losses and step against the reference vectors of the authors' code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.golden.attngan import reference as ref
from torch import Tensor, nn

from limner.data.batch import Batch, as_uint8
from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.interop.attngan import (
    discriminator_name,
    generator_name,
    image_encoder_name,
    import_generator,
    text_encoder_name,
)
from limner.matching.damsm.config import DamsmConfig, DamsmImage, DamsmText
from limner.matching.damsm.image_encoder import InceptionRegions
from limner.matching.damsm.stage import DamsmStage
from limner.matching.damsm.text_encoder import WordEncoder, padding_of
from limner.nn.folding import fold_batch_norms
from limner.systems.attngan.attention import WordAttention
from limner.systems.attngan.config import AttnGanConfig, GanConfig
from limner.systems.attngan.losses import Read, adversarial_loss, discriminator_loss
from limner.systems.attngan.networks import Discriminator, Generator, Painted, initialise_attngan
from limner.systems.attngan.stage import AttnGanStage, pyramid
from limner.training.averaging import Averages
from limner.training.schedule import Schedule
from limner.training.stage import Work

SIDES = (64, 128, 256)
Discriminate = partial(Discriminator, text_size=16, width=3)


def test_attention_is_the_authors_with_and_without_their_mask() -> None:
    attention = WordAttention(4, 16)
    attention.project.weight.data = ref.tensor("attention", "sd/conv_context.weight").flatten(1)
    x, words = ref.tensor("attention", "h"), ref.tensor("attention", "word_embs")
    padding = ref.tensor("attention", "mask")
    assert torch.equal(padding, padding_of(ref.tensor("attention", "cap_lens"), 7))
    for group, mask, official in (("nomask", torch.zeros_like(padding), False), ("official", padding, True),
                                  ("persample", padding, False)):
        contexts, shares = attention(x, words, mask, official_mask=official)
        ref.close(contexts, ref.tensor("attention", f"{group}_context"), 3e-6)
        ref.close(shares, ref.tensor("attention", f"{group}_attn"), 3e-6)


@pytest.fixture(scope="module")
def imported() -> tuple[dict, dict[str, Tensor]]:
    return import_generator(ref.HERE / "legacy_netG_epoch_600.pth")


def _paint(imported: tuple[dict, dict[str, Tensor]], group: str, *, rows: slice = slice(None), official: bool = True
           ) -> tuple[Generator, Painted]:
    settings, state = imported
    generator = Generator(**settings)
    generator.load_state_dict(state)
    generator.official_mask = official
    # batch normalisation over three rows magnifies rounding, so training is compared in float64
    exact = group == "train"
    generator.to(torch.float64 if exact else torch.float32).train(exact)
    arguments = (ref.tensor("generator", "in/z"), ref.tensor("generator", f"{group}/ca_eps"),
                 ref.tensor("generator", "in/sent_emb"), ref.tensor("generator", "in/words_emb"))
    given = [(value.double() if exact else value)[rows] for value in arguments]
    with torch.set_grad_enabled(exact):
        return generator, generator(*given, ref.tensor("generator", "in/mask")[rows])


def _compare(painted: Painted, group: str, tolerance: float) -> None:
    for name, value in (("mu", painted.condition.mean), ("logvar", painted.condition.log_variance),
                        ("c_code", painted.condition.code)):
        ref.close(value, ref.tensor("generator", f"{group}/{name}"), tolerance)
    for side, image in zip(SIDES, painted.images, strict=True):
        whole = (group, side) == ("train", 64)
        ref.close(image if whole else ref.thinned(image), ref.tensor("generator", f"{group}/img{side}"), tolerance)
    for name, share in zip(("att2", "att3"), painted.shares, strict=True):
        ref.close(ref.thinned(share), ref.tensor("generator", f"{group}/{name}"), tolerance)


def test_the_generator_paints_the_authors_pictures(imported: tuple[dict, dict[str, Tensor]]) -> None:
    _, painted = _paint(imported, "eval")
    _compare(painted, "eval", 1e-5)
    levels = ((painted.images[2][0] + 1) * 127.5)[:, ::16, ::16]  # the authors cut off where we round
    assert (levels.floor() - torch.from_numpy(ref.arrays("generator")["png"])).abs().max() <= 1
    assert (as_uint8(painted.images[2][:1])[0, :, ::16, ::16].float() - levels).abs().max() <= 0.51


def test_the_right_mask_paints_every_row_as_if_alone(imported: tuple[dict, dict[str, Tensor]]) -> None:
    _, painted = _paint(imported, "eval", official=False)
    for side, image in zip(SIDES[:2], painted.images, strict=False):
        ref.close(ref.thinned(image), ref.tensor("generator", f"persample/img{side}"), 1e-5)
    ref.close(ref.thinned(painted.images[2][2:]), ref.tensor("generator", "persample/img256_sample2"), 1e-5)
    ref.close(ref.thinned(painted.shares[0]), ref.tensor("generator", "persample/att2"), 1e-5)
    assert (painted.images[2] - _paint(imported, "eval")[1].images[2]).abs().max() > 0.01


def test_the_generator_trains_with_the_authors_gradients(imported: tuple[dict, dict[str, Tensor]]) -> None:
    generator, painted = _paint(imported, "train")
    _compare(painted, "train", 3e-5)
    for name, theirs in ref.state("generator", "train/buf_after/", generator_name).items():
        ref.close(generator.get_buffer(name).float(), theirs.float(), 1e-5)
    loss = torch.zeros((), dtype=torch.float64)
    for i, image in enumerate(painted.images):
        coefficients = ref.tensor("generator", f"train/grad_coeff{i}").repeat(1, *(SIDES[i] // 8,) * 2)
        loss = loss + (image * coefficients).mean()
    loss.backward()
    ref.close(loss, ref.tensor("generator", "train/grad_loss"), 1e-4)
    gradients = ref.state("generator", "train/grad/", generator_name)
    assert len(gradients) >= 8
    for name, theirs in gradients.items():
        ref.close(generator.get_parameter(name).grad, theirs, 5e-5)  # type: ignore[arg-type]


def _read(sentences: Tensor) -> Read:
    """Captions for discriminators that read no words."""
    return Read(sentences, sentences[:, :, None], torch.zeros(len(sentences), 1, dtype=torch.bool))


def _discriminator(side: int) -> Discriminator:
    network = Discriminate(side=side)
    ref.load(network, ref.state(f"discriminator{side}", "sd/", discriminator_name))
    return network


def test_the_discriminator_is_the_authors() -> None:
    network, real = _discriminator(64).eval(), ref.tensor("discriminator_images", "real64")
    sentences = ref.tensor("discriminator_images", "cond")
    with torch.no_grad():
        _compare_judgement(network, real, sentences, "eval")
    network.train()
    fake = ref.tensor("discriminator_images", "fake64")
    loss = discriminator_loss(network, real, fake, _read(sentences))
    loss.total.backward()
    ref.close(loss.total, ref.tensor("discriminator64", "train_errD"), 5e-6)
    for name, theirs in ref.state("discriminator64", "train_grad/", discriminator_name).items():
        ref.close(network.get_parameter(name).grad, theirs, 2e-5)  # type: ignore[arg-type]
    for name, theirs in ref.state("discriminator64", "buf_after_errD/", discriminator_name).items():
        ref.close(network.get_buffer(name).float(), theirs.float(), 5e-6)
    with torch.no_grad():
        _compare_judgement(network, real, sentences, "train")


def _compare_judgement(network: Discriminator, real: Tensor, sentences: Tensor, group: str) -> None:
    features = network.look(real)
    ref.close(features, ref.tensor("discriminator64", f"{group}_features"), 1e-5)
    ref.close(network.judge(features, sentences).sigmoid(), ref.tensor("discriminator64", f"{group}_cond_prob"), 1e-5)
    alone = network.judge_alone(features)
    assert alone is not None
    ref.close(alone.sigmoid(), ref.tensor("discriminator64", f"{group}_uncond_prob"), 1e-5)


def test_the_generator_pays_the_authors_adversarial_loss() -> None:
    sentences = ref.tensor("generator_loss", "sent_emb")
    logged = [float(x) for x in re.findall(r"-?\d+\.\d+", str(ref.arrays("generator_loss")["logs"]))]
    for i, side in enumerate((64, 128)):
        network = _discriminator(side).train()
        fake = ref.tensor("discriminator_images", f"fake{side}").requires_grad_()
        loss = adversarial_loss(network, fake, _read(sentences))
        loss.backward()
        assert loss.item() == pytest.approx(logged[i], abs=0.0051)  # the log has two digits
        assert fake.grad is not None
        if side == 64:
            ref.close(fake.grad, ref.tensor("generator_loss", "grad_fake64"), 2e-5)
        else:
            blocks = fake.grad.unflatten(3, (8, -1)).unflatten(2, (8, -1)).sum((3, 5))
            ref.close(blocks, ref.tensor("generator_loss", "grad_fake128_8x8"), 5e-5)
            ref.close(fake.grad.abs().sum(), ref.tensor("generator_loss", "grad_fake128_abs_sum"), 2e-5)
        for name, theirs in ref.state("generator_loss", f"buf_after/D{i}/", discriminator_name).items():
            ref.close(network.get_buffer(name).float(), theirs.float(), 1e-5)


@pytest.mark.parametrize(("file", "name_of", "build"), [
    ("generator_init", generator_name, lambda: Generator(sides=SIDES, text_size=16, noise_size=10, condition_size=8,
                                                         width=4, residual_blocks=2)),
    ("discriminator_init", discriminator_name, lambda: Discriminate(side=64)),
])
def test_first_weights_are_distributed_as_the_authors(file: str, name_of: Callable[[str], str],
                                                      build: Callable[[], nn.Module]) -> None:
    network = build()
    initialise_attngan(network, torch.Generator().manual_seed(0))
    ours = network.state_dict()
    compared = 0
    for name, theirs in ref.state(file, "sd/", name_of).items():
        value = ours[name]
        assert value.shape == theirs.shape
        if not theirs.is_floating_point():
            continue
        if theirs.numel() == 1:  # a convolution's bias keeps torch's own draw
            assert 0 < value.abs() < 1 / 16
        elif theirs.std(correction=0) == 0:
            assert torch.equal(value, theirs), name
        elif value.ndim > 1:  # orthogonal: all singular values are 1
            for weight in (value, theirs):
                torch.testing.assert_close(torch.linalg.svdvals(weight.flatten(1)), torch.ones(min(
                    weight.shape[0], weight[0].numel())), rtol=0, atol=1e-4)
        elif value.numel() > 15:
            assert value.mean() == pytest.approx(theirs.mean().item(), abs=0.02), name
            assert value.std() == pytest.approx(theirs.std().item(), rel=0.8), name
        compared += 1
    assert compared > 10


class _Loop:
    """The loop's side of two steps on the CPU, with the noise of the reference."""

    device = torch.device("cpu")
    fraction = 0.0
    images_seen = 0

    def __init__(self, step: int) -> None:
        self.step = step

    def autocast(self) -> nullcontext[None]:
        return nullcontext()

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        return ref.tensor("step", f"it{self.step}/{ {'noise': 'z', 'condition': 'ca_eps'}[purpose]}")

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        return torch.zeros(rows, *shape)

    def recorded(self, work: Work, *inputs: Tensor | None, kind: Hashable = None) -> dict[str, Tensor]:
        return work(self, *inputs)

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def _stage() -> AttnGanStage:
    """The real stage with the networks of the reference; word i of the reference is called w<i>."""
    damsm = DamsmConfig(schedule=Schedule(images=6), embedding=16, text=DamsmText(length=12), recipe="paper",
                        image=DamsmImage(width=4), image_size=64, batch_size=3)
    records = [Record(f"{i}.png", [" ".join(f"w{k}" for k in range(10, 39))], label=str(i)) for i in range(2)]
    corpus = Corpus({"train": PictureSet.from_arrays(np.zeros((2, 256, 256, 3), np.uint8), records)})
    small = DamsmStage(damsm, corpus, 0)
    gan = GanConfig(schedule=Schedule(images=6), noise_size=10, condition_size=8, generator_width=4,
                    discriminator_width=3, length=12, batch_size=3, official_mask=True, average_buffers=False)
    stage = AttnGanStage(AttnGanConfig(damsm=damsm, gan=gan), corpus, small.components(small.modules), 0)
    text = WordEncoder(damsm.text, 30, 16)
    ref.load(text, ref.state("step", "init/text/", text_encoder_name))
    stage.scorer.text_encoder = text.eval().requires_grad_(False)
    images = InceptionRegions(16, align_corners=True)
    from tests.matching.damsm.test_golden import _procedural

    _procedural(images.trunk)
    images.load_state_dict({name: value for name, value in ref.state("step", "init/image/", image_encoder_name).items()
                            if name.startswith("to_")}, strict=False)
    stage.scorer.image_encoder = fold_batch_norms(images.eval().requires_grad_(False))
    ref.load(stage.generator, ref.state("step", "init/G/", generator_name))
    for i, network in enumerate(stage.discriminators.values()):
        ref.load(network, ref.state("step", f"init/D{i}/", discriminator_name))
    return stage


def test_two_steps_of_the_stage_are_the_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step agrees to rounding. Adam's first update is nearly the sign of a gradient, so rounding decides
    where a gradient is almost 0: multiplying one weight tensor by 1 + 2e-7 changes our own second step by up to 1.3e-3
    in the pictures and 3.6e-4 in the losses, and the bounds of the second step are a few times that."""
    stage = _stage()
    schedule = Schedule(images=6, average_half_life=round(692.8 * 3), average_warmup=1e9)
    averages = Averages(stage.modules, stage.averaged, schedule)
    reals: list[Tensor] = []
    monkeypatch.setattr("limner.systems.attngan.stage.pyramid", lambda images, sides: reals)
    painted: list[Painted] = []
    stage.generator.register_forward_hook(lambda module, inputs, output: painted.append(output))
    start = {name: value.clone() for name, value in stage.modules["generator"].state_dict().items()}
    for step, tolerance in ((0, 5e-6), (1, 1e-3)):
        stage.captions.tokens = ref.arrays("step")[f"b{step}/captions"][:, :, 0]
        stage.captions._lengths = ref.arrays("step")[f"b{step}/cap_lens"]
        order = torch.from_numpy(stage.captions._lengths).argsort(descending=True)
        reals[:] = [ref.tensor("step", f"b{step}/real{side}")[order] for side in SIDES]
        labels = ref.tensor("step", f"b{step}/class_ids")
        batch = Batch(indices=torch.arange(3), images=torch.zeros(3, 3, 256, 256, dtype=torch.uint8),
                      captions=torch.arange(3)[:, None], labels=labels)
        losses = stage.step(batch, _Loop(step))  # type: ignore[arg-type]
        averages.update(3, 3 * step + 3)
        for i, image in enumerate(painted[step].images):
            small = nn.functional.avg_pool2d(image.detach(), SIDES[i] // 8)
            ref.close(small, ref.tensor("step", f"it{step}/fake{i}_8x8"), 5e-5 if step == 0 else 5e-3)
            ref.close(losses[f"discriminator{SIDES[i]}"], ref.tensor("step", f"it{step}/errD_D_NET{SIDES[i]}"),
                      tolerance)
        ref.close(losses["kl"], ref.tensor("step", f"it{step}/kl"), tolerance)
        ref.close(losses["generator"] - losses["kl"], ref.tensor("step", f"it{step}/errG_without_kl"), tolerance)
    for i, network in enumerate(stage.discriminators.values()):
        _compare_weights(network.state_dict(), ref.state("step", f"final/D{i}/", discriminator_name),
                         ref.state("step", f"init/D{i}/", discriminator_name))
    _compare_weights(stage.components({"generator": averages.modules["generator"]}).weights["generator"],
                     ref.state("step", "final/G_ema/", generator_name), start, share=0.1)  # moves by 1e-3 of a step


def _compare_weights(ours: dict[str, Tensor], theirs: dict[str, Tensor], start: dict[str, Tensor], *,
                     share: float = 0.03) -> None:
    """Adam's first steps are the signs of gradients, so entries whose gradient is nearly 0 may go either way: the mean
    difference is compared with the mean movement."""
    assert ours.keys() == theirs.keys()
    differences, movements = [], []
    for name, stored in theirs.items():
        value, stored = ref.chosen(ours[name]).flatten().float(), stored.flatten().float()
        if "running" in name or "tracked" in name:
            ref.close(value, stored, 1e-3)
            continue
        differences.append((value - stored).abs())
        movements.append((stored - ref.chosen(start[name]).flatten()).abs())
    difference, movement = torch.cat(differences), torch.cat(movements)
    assert movement.mean() > 0
    assert difference.mean() < share * movement.mean()


def test_the_pyramid_is_within_a_level_of_the_authors_pictures() -> None:
    full = torch.from_numpy(ref.arrays("data_images")["out1_256"])[None]
    levels = pyramid(full.contiguous(memory_format=torch.channels_last), SIDES)
    for side, level in zip(SIDES, levels, strict=True):
        theirs = ref.arrays("data_images")[f"out1_{side}"].astype(np.float32)
        assert np.abs((level[0].numpy() + 1) * 127.5 - theirs).max() <= 1.01


def test_the_layout_at_the_authors_widths(tmp_path: Path) -> None:
    layouts = json.loads((ref.HERE / "state_layout.json").read_text())
    compared = 0
    for name, layout in layouts.items():
        found = _network(name)
        if found is None:
            continue
        network, name_of = found
        ours = {key: list(value.shape) for key, value in network.state_dict().items()}
        theirs = {name_of(key): shape for key, shape in layout["state"]}
        for key, shape in theirs.items():
            if key.endswith("attention.project.weight"):
                theirs[key] = shape[:2]
        assert ours == theirs, name
        if isinstance(layout["parameters"], int) and not isinstance(network, InceptionRegions):
            assert sum(p.numel() for p in network.parameters()) == layout["parameters"]
        compared += 1
    assert compared >= 10


def _network(name: str) -> tuple[nn.Module, Callable[[str], str]] | None:
    coco = "coco" in name
    dcgan = "dcgan" in name.lower()
    with torch.device("meta"):
        if "netG" in name:
            return Generator(sides=SIDES, text_size=256, noise_size=100, condition_size=100, width=48 if coco else 32,
                             residual_blocks=0 if dcgan else 3 if coco else 2, one_image=dcgan), generator_name
        if "netD" in name:
            number = re.search(r"netD_?(\d)", name)
            side = SIDES[int(number.group(1))] if number else 256
            return Discriminator(side=side, text_size=256, width=96 if coco else 64,
                                 unconditional=not dcgan), discriminator_name
        if "text_encoder" in name:
            return WordEncoder(DamsmText(), 27297 if coco else 5450, 256), text_encoder_name
        if "image_encoder" in name:
            return InceptionRegions(256, align_corners=True), image_encoder_name
    return None
