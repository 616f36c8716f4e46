"""One whole training step of either stage against the official code: losses, gradients, weights, statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.systems.gan_cls.small import Told
from tests.systems.stackgan import official
from tests.systems.stackgan.official import close

from limner.data.batch import Batch
from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.systems.stackgan.config import EmbeddingFile, GanTraining, Networks, StackGanConfig
from limner.systems.stackgan.stages import StackGanStage
from limner.text.embedding_table import EmbeddingTable
from limner.training.schedule import Schedule
from limner.training.stage import Components, weights_of

LOSSES = {"discriminator": "errD", "real": "errD_real", "wrong": "errD_wrong", "fake": "errD_fake", "generator": "errG",
          "kl": "kl"}


def _stage(name: str, golden: dict[str, np.ndarray], folder: Path) -> StackGanStage:
    """The real stage with the reference networks, in float64; the captions' embeddings come from a table."""
    texts = [f"caption {row}" for row in range(4)]
    EmbeddingTable(texts, torch.from_numpy(golden["in/text"])).save(folder / "table")
    records = [Record(f"{row}.png", (text,)) for row, text in enumerate(texts)]
    pictures = np.ascontiguousarray(golden["in/real_u8"].transpose(0, 2, 3, 1))
    training = GanTraining(schedule=Schedule(images=8), batch_size=4, crop=False, flip=False)
    config = StackGanConfig(
        text=EmbeddingFile(folder=str(folder / "table"), embedding=32),
        networks=Networks(condition_size=16, noise_size=12, generator_width=8,
                          discriminator_width=8 if name == "sketch" else 4, residual_blocks=2),
        sketch=training, refinement=training)
    networks = official.networks(golden, "pre/G/")
    stage = StackGanStage(name, config, Corpus({"train": PictureSet.from_arrays(pictures, records)}),  # type: ignore[arg-type]
                          Components({"sketch": weights_of(networks["sketch"])}), 0)
    stage.generator.load_state_dict(networks[name].state_dict())
    stage.discriminator.load_state_dict(official.networks(golden, "pre/D/")["discriminator"].state_dict())
    for network in (stage.sketch, stage.generator, stage.discriminator):
        network.double()
    stage.captions.embeddings = stage.captions.embeddings.double()
    look = stage.discriminator.look
    stage.discriminator.look = lambda images: look(images.double())  # pictures come as float32
    return stage


@pytest.mark.parametrize(("name", "files"), [("sketch", ["stage1_step"]),
                                             ("refinement", ["stage2_step_in", "stage2_step_out"])])
def test_the_stage_takes_the_authors_step(name: str, files: list[str], tmp_path: Path) -> None:
    golden = official.arrays(*files)
    stage = _stage(name, golden, tmp_path)
    sketch_before = {key: value.clone() for key, value in stage.sketch.state_dict().items()}
    seen: list[torch.Tensor] = []
    stage.generator.register_forward_hook(lambda _, inputs, output: seen.extend([output[0], *output[1][1:]]))
    noise = {ours: torch.from_numpy(golden[f"in/{theirs}"]).double() for ours, theirs in
             (("noise", "noise"), ("sketch", "eps_stage1"), ("refinement", "eps_stage2")) if f"in/{theirs}" in golden}
    images = torch.from_numpy(golden["in/real_u8"]).contiguous(memory_format=torch.channels_last)
    context = Told(noise=noise, watched=dict(stage.modules))
    losses = stage.step(Batch(torch.arange(4), images, torch.arange(4)[:, None]), context)
    assert set(context.asked) == set(noise)
    for ours, theirs in LOSSES.items():
        close(losses[ours], golden[f"loss/{theirs}"], 1e-5, theirs)
    close(seen[1], golden["gen/mu"], 1e-5)
    close(seen[2], golden["gen/logvar"], 1e-5)
    if name == "sketch":
        close(seen[0], golden["gen/fake_img"], 1e-5)
    _check_gradients(stage, golden)
    found = {**stage.modules}
    assert official.check_state(found, golden, "post/D/", "pre/D/", weights=2e-5) > 5
    del found["discriminator"]
    assert official.check_state(found, golden, "post/G/", "pre/G/", weights=2e-5) > 5
    if name == "refinement":
        assert context.changed == [["discriminator"], ["refinement"]]
        same = {key: torch.equal(value, sketch_before[key]) for key, value in stage.sketch.state_dict().items()}
        assert all(equal != ("running" in key or "tracked" in key) for key, equal in same.items())


def _check_gradients(stage: StackGanStage, golden: dict[str, np.ndarray]) -> None:
    for letter, kind, network in (("D", "discriminator", stage.discriminator), ("G", stage.name, stage.generator)):
        parameters = dict(network.named_parameters())
        compared = 0
        for what in ("grad", "gradnorm"):
            for name, stored in official.tensors(golden, f"{what}/{letter}/").items():
                gradient = parameters[official.ours(kind, name, golden, f"pre/{letter}/")].grad
                assert gradient is not None
                value = gradient if what == "grad" else gradient.norm()
                close(value, stored.numpy(), 1e-3 * float(stored.abs().max()), f"{what} {name}")
                compared += 1
        assert compared > 5


def test_the_parts_of_the_reference_losses_add_up(tmp_path: Path) -> None:
    """The authors' own terms, combined by our formula, are the authors' own total."""
    golden = official.arrays("stage2_step_out")
    terms = {name: float(golden[f"D/bce_{name}"]) for name in
             ("cond_real", "cond_wrong", "cond_fake", "uncond_real", "uncond_fake")}
    for name in ("real", "wrong", "fake"):
        target = 1.0 if name == "real" else 0.0
        probability = golden[f"D/prob_{name}"].astype(np.float64)
        expected = -np.mean(np.log(probability if target else 1 - probability))
        assert terms[f"cond_{name}"] == pytest.approx(expected, rel=1e-4)
    total = ((terms["cond_real"] + terms["uncond_real"]) / 2
             + (terms["cond_wrong"] + terms["cond_fake"] + terms["uncond_fake"]) / 3)
    assert float(golden["loss/errD"]) == pytest.approx(total, rel=1e-5)
    assert float(golden["loss/errG_total"]) == pytest.approx(float(golden["loss/errG"] + 2 * golden["loss/kl"]),
                                                             rel=1e-5)
