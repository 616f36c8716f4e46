"""A whole run of all stages: interrupted and resumed it is the same bit for bit; it leaves a painter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.systems.gan_cls.small import corpus
from tests.systems.interruption import interrupted
from tests.training.compare import log_of, same_runs

from limner.painting.painter import load
from limner.systems import get_system
from limner.systems.protocol import System
from limner.systems.stackgan.presets import stackgan_debug
from limner.training.loop import train
from limner.training.settings import RunSettings

SYSTEM = get_system("stackgan")
STAGES = ("text-encoder", "sketch", "refinement")


def _train(run: Path, system: System = SYSTEM, *, resume: bool = False) -> None:
    settings = RunSettings(device="cpu", precision="32", threads=1)
    train(system, "stackgan-debug", stackgan_debug(), corpus(), run, settings, resume=resume, progress=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("stackgan") / "run"
    _train(run)
    return run


@pytest.mark.parametrize("stage", ["sketch", "refinement"])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(plain: Path, tmp_path: Path, stage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "run", interrupted(SYSTEM, stage, 5))
    # what there is by then can be tried: the sketch first, then its refinement
    side = 16 if stage == "sketch" else 64
    assert load(tmp_path / "run", device="cpu")("a small red ring", seed=1).image.size == (side, side)
    _train(tmp_path / "run", resume=True)
    same_runs(plain, tmp_path / "run")


def test_a_run_leaves_a_painter_and_a_grid_a_tick(plain: Path) -> None:
    log = log_of(plain)
    assert list(dict.fromkeys(line["stage"] for line in log)) == list(STAGES)
    assert {"real", "wrong", "fake", "generator", "kl", "energy", "error", "nats"} <= log[-3]["losses"].keys()
    assert all("agreement" in line["figures"] for line in log if line["stage"] != "text-encoder")
    assert {path.name.rpartition("-")[0] for path in (plain / "samples").iterdir()} == {"sketch", "refinement"}
    painting = load(plain, device="cpu")("a small red ring", seed=1)
    assert {name: picture.size for name, picture in painting.stages.items()} == {"sketch": (16, 16),
                                                                                 "refinement": (64, 64)}
    assert np.isfinite(painting.array).all()
