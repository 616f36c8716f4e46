from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import Run

from limner.painting.png import read_story


def _pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_caption_becomes_a_png_that_show_explains(limner: Run, bundle: Path) -> None:
    done = limner("paint", "a red star", "--model", bundle, "--seed", 7, "--out", "deep/red.png", "--device", "cpu")
    assert (done.status, done.out) == (0, "deep/red.png\n")
    assert done.err == 'limner: warning: "a red star": unknown words: a.\n'
    shown = limner("show", "deep/red.png")
    assert "a red star" in shown.out
    assert "seed      7, index 0" in shown.out
    assert json.loads(limner("show", "deep/red.png", "--json").out)["caption"] == "a red star"


def test_several_pictures_make_a_grid_or_numbered_files(limner: Run, bundle: Path) -> None:
    grid = limner("paint", "red star", "blue ring", "-n", 3, "--model", bundle, "--out", "grid.png")
    assert (grid.status, grid.out) == (0, "grid.png\n")
    told = read_story("grid.png")
    assert [(p["caption"], p["index"]) for p in told["paintings"]] == [
        (caption, index) for caption in ("red star", "blue ring") for index in range(3)]
    Path("list.txt").write_text("red star\n\nblue ring\n")
    files = limner("paint", "--captions", "list.txt", "--seed", "3,8-9", "--model", bundle, "--out", "s{seed}-{i}.png")
    assert files.out.split() == ["s3-1.png", "s8-2.png", "s9-3.png", "s3-4.png", "s8-5.png", "s9-6.png"]
    alone = limner("paint", "blue ring", "--seed", 9, "--model", bundle)
    assert np.array_equal(_pixels("s9-6.png"), _pixels(alone.out.strip()))


def test_like_paints_the_very_same_picture(limner: Run, bundle: Path) -> None:
    limner("paint", "red star", "--model", bundle, "--seed", 5, "-n", 3, "--input", "spread=0.5", "--out", "a{i}.png")
    again = limner("paint", "--like", "a3.png", "--model", bundle, "--out", "again.png")
    assert (again.status, again.err) == (0, "limner: painted again: every pixel is the same.\n")
    assert np.array_equal(_pixels("again.png"), _pixels("a3.png"))
    assert read_story("again.png") == read_story("a3.png")
    other = limner("paint", "--like", "a3.png", "--model", bundle, "--seed", 6, "--out", "other.png")
    assert other.status == 0
    assert not np.array_equal(_pixels("other.png"), _pixels("a3.png"))
    story = read_story("other.png")
    assert (story["caption"], story["seed"], story["index"], story["inputs"]) == ("red star", 6, 2, {"spread": 0.5})


def test_like_paints_in_the_precision_of_the_picture(limner: Run, bundle: Path) -> None:
    limner("paint", "red star", "--model", bundle, "--precision", "bf16", "--out", "a.png")
    assert read_story("a.png")["settings"]["precision"] == "bf16"
    again = limner("paint", "--like", "a.png", "--model", bundle, "--out", "again.png")
    assert again.err == "limner: painted again: every pixel is the same.\n"
    assert read_story("again.png") == read_story("a.png")
    assert "bf16" in limner("show", "again.png").out


def test_like_paints_a_grid_again(limner: Run, bundle: Path) -> None:
    limner("paint", "red star", "blue ring", "-n", 2, "--model", bundle, "--out", "grid.png")
    assert limner("paint", "--like", "grid.png", "--model", bundle, "--out", "again.png").status == 0
    assert Path("again.png").read_bytes() == Path("grid.png").read_bytes()
    refused = limner("paint", "--like", "grid.png", "--model", bundle, "--seed", 4)
    assert refused.status == 2
    assert "changes need the PNG of one picture" in refused.err


def test_like_knows_another_painter(limner: Run, bundle: Path) -> None:
    limner("paint", "red star", "--model", bundle, "--out", "a.png")
    lost = limner("paint", "--like", "a.png", "--out", "b.png")
    assert lost.status == 2
    assert "Say with --model where it is" in lost.err
    limner("models", "export", bundle, "toy", "--half")  # found by its name, but not the same weights
    changed = limner("paint", "--like", "a.png", "--out", "b.png")
    assert changed.status == 2
    assert "it would come out different" in changed.err
    assert not Path("b.png").exists()
    forced = limner("paint", "--like", "a.png", "--out", "b.png", "--model", "toy")
    assert forced.status == 0
    assert "warning: the picture comes from toy" in forced.err


def test_json_gives_one_object_a_picture(limner: Run, bundle: Path) -> None:
    done = limner("paint", "red star", "-n", 2, "--model", bundle, "--json", "--out", "a{i}.png")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["file"], line["index"]) for line in lines] == [("a1.png", 0), ("a2.png", 1)]
    assert {key: value for key, value in lines[1].items() if key != "file"} == read_story("a2.png")


def test_extra_files_show_growth_and_words(limner: Run, bundle: Path) -> None:
    done = limner("paint", "red star", "--model", bundle, "--gif", "a.gif", "--explain", "words.png")
    assert done.out.split() == ["painting.png", "a.gif", "words.png"]
    with Image.open("a.gif") as gif:
        assert gif.n_frames == 2
    assert limner("paint", "red star", "-n", 2, "--model", bundle, "--gif", "a.gif").status == 2


@pytest.mark.parametrize(("arguments", "words"), [
    ([], "nothing to paint"),
    ([""], "the caption is empty"),
    (["red", "--out", "a.jpg"], "End the name in .png"),
    (["red", "--out", "."], "is a folder"),
    (["red", "--seed", "x"], "cannot read the seeds"),
    (["red", "-n", "0"], "-n must be"),
    (["red", "-n", "x"], "invalid int value"),
    (["red", "-n", "5000"], "at most 4096"),
    (["red", "-n", "2", "--out", "a{seed}.png"], "the same name"),
    (["red", "--input", "bend=1"], "toy takes no input 'bend'"),
    (["red", "--input", "bend"], "NAME=VALUE"),
    (["red", "--input", "spread=@none.png"], "there is no picture none.png"),
    (["red", "--captions", "none.txt"], "cannot read the captions"),
    (["red", "--like", "none.png"], "cannot read none.png"),
    (["red", "--device", "quantum"], "no device"),
    (["red", "--out", "/proc/no/a.png"], "cannot write"),
])
def test_mistakes_end_in_one_sentence(limner: Run, bundle: Path, arguments: list[str], words: str) -> None:
    done = limner("paint", *arguments, "--model", bundle)
    assert done.status == 2
    assert done.out == ""
    assert words in done.err
    assert done.err.count("\n") == 1


def test_a_long_caption_is_cut_and_told(limner: Run, bundle: Path) -> None:
    done = limner("paint", "red " * 25_000, "--model", bundle)
    assert done.status == 0
    assert "has 100000 characters; only the first 2000 are read" in done.err
    assert len(done.err) < 1000


def test_our_own_fault_is_told_as_such(limner: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.painting.toy.ToyPainter.warnings", lambda self, caption: 1 / 0)
    done = limner("paint", "red", "--model", bundle)
    assert done.status == 1
    assert "internal error: ZeroDivisionError" in done.err
    assert "--traceback" in done.err
    with pytest.raises(ZeroDivisionError):
        limner("paint", "red", "--model", bundle, "--traceback")
