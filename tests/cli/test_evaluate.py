from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from tests.cli.conftest import Run

_QUICK = ("--samples", 20, "--oracle", "size=16", "--oracle", "steps=3")


def test_a_painter_is_judged(limner: Run, bundle: Path) -> None:
    limner("data", "make", "shapes", "shapes", "--count", 200, "--size", 16)
    done = limner("evaluate", bundle, "--data", "shapes", *_QUICK, "--json", "--grid", "grid.png")
    assert done.status == 0
    record = json.loads(done.out)
    assert record["model"]["name"] == "toy"
    assert record["data"]["split"] == "test"
    assert record["judges"]["oracle"]["config"]["steps"] == 3
    found = record["metrics"]
    assert list(found["faithfulness"]["attributes"]) == ["colour", "place", "shape", "size", "texture"]
    assert list(found["diversity"]["left_open"]) == ["ground", "ground texture"]
    assert "the oracle recognises" in done.err
    assert "could not use all of 20 different captions, for example: unknown words" in done.err
    with Image.open("grid.png") as grid:
        assert grid.width > 500
    again = limner("evaluate", bundle, "--data", "shapes", *_QUICK, "--json")
    assert json.loads(again.out) == record
    shown = limner("evaluate", bundle, "--data", "shapes", *_QUICK, "--split", "val")
    assert (shown.status, "faithfulness-1" in shown.out) == (0, True)


def test_mistakes_are_told(limner: Run, bundle: Path) -> None:
    limner("data", "make", "shapes", "shapes", "--count", 3, "--size", 16)
    lines = [json.loads(line) for line in Path("shapes/metadata.jsonl").read_text().splitlines()]
    bare = Path("bare")
    bare.mkdir()
    Path("shapes/images").rename("bare/images")
    (bare / "metadata.jsonl").write_text("".join(
        json.dumps({"file_name": line["file_name"], "text": line["text"]}) + "\n" for line in lines))
    limner("data", "make", "shapes", "whole", "--count", 30, "--size", 16)
    bare_train = ["--data", "bare", "--split", "train"]
    for arguments, words in ((["--data", "whole", "--samples", 1], "at least 2"),
                             (["--data", "nowhere"], "there is no folder"),
                             ([*bare_train, "--metrics", "diversity"], "no attributes to judge"),
                             ([*bare_train, "--metrics", "beauty"], "no metric 'beauty'"),
                             (["--data", "bare"], "no pictures in the split 'test'"),
                             (["--data", "bare", "--grid", "x.jpg"], "PNG"),
                             (["--data", "bare", "--oracle", "steps"], "FIELD=VALUE"),
                             (["--data", "bare", "--oracle", "steps=0"], "steps must be at least 1"),
                             (["--data", "bare", "--oracle", "stops=3"], "no field 'stops'"),
                             ([], "--data")):
        done = limner("evaluate", bundle, *arguments)
        assert (done.status, done.out) == (2, ""), arguments
        assert words in done.err
