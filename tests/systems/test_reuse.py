from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.systems.gan_cls.small import corpus

from limner.config import to_json
from limner.errors import LimnerError
from limner.files import write_json
from limner.systems import get_system
from limner.systems.aligndraw.presets import PRESETS as ALIGNDRAW
from limner.systems.gan_cls.presets import gan_cls_debug
from limner.systems.reuse import finished_stages
from limner.systems.stackgan.presets import stackgan_debug
from limner.training.bundle_folder import BundleFolder, write_bundle
from limner.training.run_folder import describe_run
from limner.training.stage import Components


def _run(folder: Path, *, finished: bool = True) -> Path:
    """A run of GAN-CLS as the loop would leave it, as far as its description goes."""
    write_json(folder / "config.json", describe_run(
        "gan-cls", "gan-cls-debug", to_json(gan_cls_debug()), corpus(), seed=0, images=None, tick=None, device="cpu",
        precision="32"))
    if finished:
        write_bundle(folder / "stages" / "0-text-encoder",
                     BundleFolder("gan-cls", {}, Components({"text_encoder": {"weight": torch.ones(2)}})))
    return folder


def test_another_system_takes_over_the_same_text_encoder(tmp_path: Path) -> None:
    run = _run(tmp_path)
    ours = replace(stackgan_debug(), text=gan_cls_debug().matching,
                   networks=replace(stackgan_debug().networks, encoder_maps=False))
    found = finished_stages(run, get_system("stackgan"), ours, corpus(), seed=0, images=None)
    assert found == [tmp_path / "stages" / "0-text-encoder"]


@pytest.mark.parametrize(("system", "config", "words"), [
    ("stackgan", stackgan_debug(), "text-encoder.0.image_size is 16 here and was 64 there"),
    ("aligndraw", ALIGNDRAW["aligndraw-debug"](), "no stage before its last"),
    ("attngan", get_system("attngan").presets["attngan-debug"](), "its stage 1 is text-encoder, not damsm"),
])
def test_what_differs_is_named(tmp_path: Path, system: str, config: object, words: str) -> None:
    with pytest.raises(LimnerError, match=words):
        finished_stages(_run(tmp_path), get_system(system), config, corpus(), seed=0, images=None)


def test_a_stage_that_is_not_finished_is_not_taken_over(tmp_path: Path) -> None:
    with pytest.raises(LimnerError, match="text-encoder is not finished"):
        finished_stages(_run(tmp_path, finished=False), get_system("gan-cls"), gan_cls_debug(), corpus(), seed=0,
                        images=None)


def test_a_damaged_stage_is_refused_before_there_is_a_new_run(tmp_path: Path) -> None:
    run = _run(tmp_path)
    damaged = run / "stages" / "0-text-encoder" / "text_encoder.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:9])
    with pytest.raises(LimnerError, match=r"text_encoder\.safetensors"):
        finished_stages(run, get_system("gan-cls"), gan_cls_debug(), corpus(), seed=0, images=None)


@pytest.mark.parametrize("content", [{"format": 99}, {"format": 1, "system": "gan-cls", "data": {}}, ["no", "run"]])
def test_a_foreign_config_is_refused(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "config.json", content)
    with pytest.raises(LimnerError, match="does not describe a run"):
        finished_stages(tmp_path, get_system("gan-cls"), gan_cls_debug(), corpus(), seed=0, images=None)
