"""A whole run of both stages: interrupted and resumed it is the same, bit for bit, and it leaves a painter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.systems.aligndraw import small
from tests.systems.interruption import interrupted
from tests.training.compare import log_of, same_runs

from limner.painting.painter import load
from limner.systems.aligndraw.presets import aligndraw_coco, debug_form
from limner.systems.protocol import System
from limner.training.loop import train
from limner.training.settings import RunSettings

CONFIG = debug_form(aligndraw_coco())


def _train(run: Path, system: System = small.SYSTEM, *, resume: bool = False) -> None:
    settings = RunSettings(device="cpu", precision="32", threads=1)
    train(system, "aligndraw-coco", CONFIG, small.corpus(), run, settings, resume=resume, progress=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("aligndraw") / "run"
    _train(run)
    return run


@pytest.mark.parametrize("stage", ["drawing", "sharpening"])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(plain: Path, tmp_path: Path, stage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "run", interrupted(small.SYSTEM, stage, 2))
    _train(tmp_path / "run", resume=True)
    same_runs(tmp_path / "run", plain)


def test_the_run_paints(plain: Path) -> None:
    assert [line["stage"] for line in log_of(plain)] == ["drawing"] * 2 + ["sharpening"] * 2
    assert {"bound", "pixels", "kl", "caption_gap"} <= log_of(plain)[0]["figures"].keys()
    painter = load(plain, device="cpu")
    assert set(painter.components.weights) == {"generator", "recognition", "sharpener"}
    painting = painter("a red ring", seed=2)
    assert np.array_equal(np.asarray(painting.stages["drawing"]), painting.canvases[-1])
