"""A whole run of both stages: interrupted and resumed it is the same bit for bit; it leaves a painter and a judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.systems.interruption import interrupted
from tests.training.compare import log_of, same_runs

from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.matching.damsm.scorer import DamsmScorer
from limner.painting.explain import save_explanation, word_effects
from limner.painting.painter import load
from limner.systems import get_system
from limner.systems.attngan.presets import attngan_debug
from limner.systems.protocol import System
from limner.training.loop import train
from limner.training.settings import RunSettings

SYSTEM = get_system("attngan")
CAPTION = "a small red ring"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus({split: PictureSet.from_arrays(*shapes_arrays(16, size=64, split=split))
                   for split in ("train", "val")})


def _train(run: Path, corpus: Corpus, system: System = SYSTEM, *, resume: bool = False) -> None:
    settings = RunSettings(device="cpu", precision="32", threads=1)
    train(system, "attngan-debug", attngan_debug(), corpus, run, settings, resume=resume, progress=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    run = tmp_path_factory.mktemp("attngan") / "run"
    _train(run, corpus)
    return run


@pytest.mark.parametrize("stage", ["damsm", "gan"])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(plain: Path, tmp_path: Path, corpus: Corpus,
                                                              stage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "run", corpus, interrupted(SYSTEM, stage, 4))
    _train(tmp_path / "run", corpus, resume=True)
    same_runs(plain, tmp_path / "run")


def test_a_run_leaves_a_painter_and_a_judge(plain: Path, corpus: Corpus, tmp_path: Path) -> None:
    assert {line["stage"] for line in log_of(plain)} == {"damsm", "gan"}
    painter = load(plain, device="cpu")
    painting = painter(CAPTION, seed=1)
    assert painting.attention["64"].words == ("a", "small", "red", "ring")
    assert save_explanation(tmp_path / "why.png", painting, word_effects(painter, painting)).is_file()
    match = DamsmScorer.from_run(plain).explain(painting.array, CAPTION)
    assert match.words == painting.attention["64"].words
    assert np.isfinite(match.without).all()
