"""A system that can paint before its last stage."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.training import toy

from limner.training.bundle_folder import read_bundle
from limner.training.stage import Components


@dataclass
class _Parts:
    """A painter that is content with the parts there are."""

    config: toy.ToyConfig
    parts: Components

    def components(self) -> Components:
        return self.parts


SYSTEM = dataclasses.replace(toy.SYSTEM, painting_stages=("words",), build_painter=_Parts)


def test_the_painter_is_there_from_the_painting_stage_on(tmp_path: Path) -> None:
    config = toy.ToyConfig(fault="interrupt", fault_stage="painter", fault_step=0)
    with pytest.raises(KeyboardInterrupt):
        toy.train(tmp_path / "run", config=config, system=SYSTEM, images=32)
    first = read_bundle(tmp_path / "run" / "painter")
    assert first.info["images"] == 32
    assert first.info["scores"]["peak"] == 0  # that of the painting stage, at 32 images
    toy.train(tmp_path / "run", config=config, system=SYSTEM, resume=True, images=48)
    last = read_bundle(tmp_path / "run" / "painter")
    assert set(last.components.weights) == {"words", "painter"}
    assert last.info == first.info  # what the painting stage was trained on and scored


def test_a_system_that_names_no_stage_paints_after_its_last_one(tmp_path: Path) -> None:
    config = toy.ToyConfig(fault="interrupt", fault_stage="painter", fault_step=0)
    with pytest.raises(KeyboardInterrupt):
        toy.train(tmp_path / "run", config=config)
    assert set(read_bundle(tmp_path / "run" / "painter").components.weights) == {"words", "painter"}
    with pytest.raises(KeyboardInterrupt):
        toy.train(tmp_path / "other", config=dataclasses.replace(config, fault_stage="words"))
    assert not (tmp_path / "other" / "painter").exists()
