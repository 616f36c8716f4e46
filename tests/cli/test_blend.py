"""From the command line: a run with a style encoder, blends, styles, and the figures of the text encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import Run

from limner.cli import main
from limner.painting.png import read_story

A, B = "a small red ring", "a large blue star"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures ``data`` and the run ``run``, whose last stage is a style encoder."""
    home = tmp_path_factory.mktemp("home")
    assert main(["data", "make", "shapes", str(home / "data"), "--count", "60"]) == 0
    assert main(["train", "shapes-gan-cls", str(home / "data"), "--out", str(home / "run"), "--debug",
                 "--device", "cpu", "--set", "style.width=4", "--set", "style.schedule.images=64"]) == 0
    return home


def test_a_part_that_was_left_out_comes_into_being(limner: Run, home: Path) -> None:
    told = json.loads((home / "run" / "config.json").read_text())
    assert told["config"]["style"] == {"schedule": told["config"]["style"]["schedule"], "width": 4, "batch_size": 64,
                                       "learning_rate": 2e-4}
    assert told["config"]["style"]["schedule"]["images"] == 64
    assert (home / "run" / "stages" / "2-style-encoder").is_dir()
    assert (home / "run" / "painter" / "style_encoder.safetensors").is_file()
    card = json.loads((home / "run" / "painter" / "config.json").read_text())["info"]
    assert "agreement" in card["scores"]
    plain = limner("train", "shapes-gan-cls", "data", "--dry-run")
    assert json.loads(plain.out)["stages"] == ["text-encoder", "gan"]


def test_the_debug_form_is_tiny(limner: Run) -> None:
    told = limner("train", "gan-cls-birds", "data", "--debug", "--dry-run", "--set", "gan.noise_size=3")
    debug = json.loads(told.out)
    assert debug["config"]["gan"]["generator_width"] == 4
    assert debug["config"]["gan"]["noise_size"] == 3
    assert debug["config"]["gan"]["scale_size"] == 76


def test_a_blend_is_a_strip_whose_ends_are_the_two_pictures(limner: Run, home: Path) -> None:
    done = limner("blend", A, B, "--seed", 1, "--to-seed", 2, "--steps", 5, "--model", home / "run", "--gif", "b.gif",
                  "--device", "cpu")
    assert (done.status, done.out.split()) == (0, ["blend.png", "b.gif"])
    story = read_story("blend.png")
    assert story["grid"] == {"columns": 5, "labels": [f"{A} -> {B}"]}
    assert [painting["inputs"]["blend_amount"] for painting in story["paintings"]] == [0, 0.25, 0.5, 0.75, 1]
    limner("paint", A, "--seed", 1, "--model", home / "run", "--out", "a.png", "--device", "cpu")
    limner("paint", B, "--seed", 2, "--model", home / "run", "--out", "b.png", "--device", "cpu")
    ends = [story["paintings"][place]["pixels"] for place in (0, 4)]
    assert ends == [read_story("a.png")["pixels"], read_story("b.png")["pixels"]]
    with Image.open("b.gif") as gif:
        assert gif.n_frames <= 5
    again = limner("paint", "--like", "blend.png", "--model", home / "run", "--out", "again.png", "--device", "cpu")
    assert again.err == "limner: painted again: every pixel is the same.\n"
    assert Path("again.png").read_bytes() == Path("blend.png").read_bytes()
    assert limner("blend", A, "--to-seed", 3, "--model", home / "run", "--out", "noise.png").status == 0


def test_style_comes_from_a_picture(limner: Run, home: Path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (50, 40, 3), np.uint8)).save(f"{name}.jpg")
    for style, seed in (("one", 1), ("one", 2), ("two", 1)):
        done = limner("paint", A, "--seed", seed, "--model", home / "run", "--input", f"style=@{style}.jpg",
                      "--out", f"{style}{seed}.png")
        assert done.status == 0, done.err
    assert read_story("one1.png")["pixels"] == read_story("one2.png")["pixels"]
    refused = limner("paint", "--like", "one1.png", "--model", home / "run")
    assert refused.status == 2
    assert "give it again" in refused.err
    again = limner("paint", "--like", "one1.png", "--model", home / "run", "--input", "style=@one.jpg")
    assert again.status == 0
    assert read_story("painting.png")["pixels"] == read_story("one1.png")["pixels"]


def test_retrieval_tells_the_figures_of_the_text_encoder(limner: Run, home: Path) -> None:
    done = limner("retrieval", home / "run", "--data", home / "data")
    assert done.status == 0
    assert done.out.startswith("6 pictures of 6 classes, split test\n")
    told = json.loads(limner("retrieval", home / "run", "--data", home / "data", "--split", "val", "--json").out)
    assert (told["images"], told["k"]) == (3, 3)
    assert 0 <= told["top1_micro"] <= 1


@pytest.mark.parametrize(("arguments", "words"), [
    (["blend", A], "nothing to blend"),
    (["blend", A, " "], "blend must be a second caption"),
    (["blend", A, B, "--steps", "1"], "at least 2 steps"),
    (["blend", A, B, "--steps", "5000"], "at most 4096"),
    (["blend", A, B, "--out", "a.jpg"], "End the name in .png"),
    (["blend", "", B], "the caption is empty"),
    (["paint", A, "--input", "blend_amount=0.5"], "nothing to blend"),
    (["paint", A, "--input", "style=7"], "style must be a picture"),
])
def test_mistakes_end_in_one_sentence(limner: Run, home: Path, arguments: list[str], words: str) -> None:
    done = limner(*arguments, "--model", home / "run")
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1


def test_a_toy_without_blends_says_who_has_them(limner: Run, bundle: Path) -> None:
    done = limner("blend", "red star", "blue ring", "--model", bundle)
    assert done.status == 2
    assert "toy takes no input 'blend'" in done.err
    assert "systems that take it: attngan, gan-cls, stackgan" in done.err


def test_retrieval_needs_a_text_encoder(limner: Run, home: Path) -> None:
    done = limner("retrieval", home, "--data", home / "data")
    assert done.status == 2
    assert "no finished text encoder" in done.err
    assert limner("retrieval", home / "run", "--data", home / "data", "--split", "dev").status == 2
