from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run

from limner.painting.png import read_story


def test_a_picture_and_a_table(limner: Run, bundle: Path) -> None:
    done = limner("compare", "red star", "--models", bundle, "shapes-gan-cls", "--seed", "0,2", "--device", "cpu")
    assert done.status == 0
    assert done.out.splitlines()[-1] == "comparison.png"
    for word in ("toy", "gan-cls", "16x16", "64x64", " ms"):
        assert word in done.out
    assert len(read_story("comparison.png")["paintings"]) == 4
    refused = limner("paint", "--like", "comparison.png")
    assert "come from several painters" in refused.err


def test_all_packaged_painters_are_the_default(limner: Run) -> None:
    Path("list.txt").write_text("a red ring\n\na blue star\n")
    done = limner("compare", "--captions", "list.txt", "--out", "all.png", "--json", "--device", "cpu")
    told = json.loads(done.out)
    assert told["file"] == "all.png"
    assert [row["caption"] for row in told["rows"]] == ["a red ring", "a blue star"]
    packaged = [json.loads(line)["name"] for line in limner("models", "--json").out.splitlines()]
    assert [painter["label"] for painter in told["painters"]] == packaged


def test_warnings_name_the_painter(limner: Run, bundle: Path) -> None:
    done = limner("compare", "red moon", "--models", bundle, "--device", "cpu")
    assert done.err == 'limner: warning: toy: "red moon": unknown words: moon.\n'


def test_mistakes_end_in_one_sentence(limner: Run, bundle: Path) -> None:
    for arguments, words in (([], "nothing to compare"), (["red", "--out", "a.jpg"], "End the name in .png"),
                             (["red", "--seed", "x"], "cannot read the seeds"),
                             (["--models", bundle, "red star"], "there is no painter 'red star'"),
                             (["--captions", "none.txt"], "cannot read the captions")):
        done = limner("compare", *arguments)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), arguments
        assert words in done.err
