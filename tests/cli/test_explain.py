from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import Run

from limner.config import to_json
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.matching.damsm.scorer import DamsmScorer
from limner.matching.damsm.stage import DamsmStage
from limner.systems.attngan.presets import attngan_debug
from limner.training.bundle_folder import BundleFolder, write_bundle

CAPTION = "a small red zebra"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder whose matching stage is done (with fresh weights)."""
    config = attngan_debug()
    stage = DamsmStage(config.damsm, Corpus({"train": PictureSet.from_arrays(*shapes_arrays(8, size=64))}), 0)
    write_bundle(tmp_path / "run" / "stages" / "1-damsm",
                 BundleFolder("attngan", to_json(config), stage.components(stage.modules)))
    return tmp_path / "run"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    image.save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_a_picture_and_a_caption_are_matched(limner: Run, run: Path, picture: Path) -> None:
    done = limner("explain", picture, CAPTION, "--model", run, "--out", "why.png")
    assert (done.status, done.out) == (0, "why.png\n")
    assert done.err == "limner: warning: unknown words, left out: 'zebra'\n"
    assert Path("why.png").is_file()
    told = json.loads(limner("explain", picture, CAPTION, "--model", run, "--json").out)
    with Image.open(picture) as file:
        square = np.asarray(file.convert("RGB").resize((60, 60), Image.Resampling.BICUBIC))
    match = DamsmScorer.from_run(run).explain(square, CAPTION)
    assert [word["word"] for word in told["words"]] == ["a", "small", "red"]
    assert told["match"] == pytest.approx(match.whole, abs=1e-3)
    assert told["words"][2]["without"] == pytest.approx(float(match.without[2]), abs=1e-3)


def test_a_painting_brings_its_caption(limner: Run, run: Path, bundle: Path) -> None:
    limner("paint", "red star", "--model", bundle, "--out", "star.png")
    done = limner("explain", "star.png", "--model", run, "--json")
    assert json.loads(done.out)["caption"] == "red star"


@pytest.mark.parametrize(("arguments", "words"), [
    (["none.png", CAPTION], "there is no picture none.png"),
    (["picture.png", "zebra"], "no word of 'zebra' is in the vocabulary"),
    (["picture.png"], "carries no story of Limner"),
    (["picture.png", CAPTION, "--out", "why.jpg"], "End the name in .png"),
    (["picture.png", CAPTION, "--model", "."], "has no finished DAMSM"),
])
def test_mistakes_end_in_one_sentence(limner: Run, run: Path, picture: Path, arguments: list[str], words: str) -> None:
    done = limner("explain", "--model", run, *arguments)
    assert done.status == 2
    assert words in done.err
    assert done.err.count("\n") == 1
