from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from tests.cli.conftest import Run

_QUICK = ("--samples", 20, "--oracle", "size=16", "--oracle", "steps=3")


def test_a_painter_is_judged(limner: Run, bundle: Path) -> None:
    limner("data", "make", "shapes", "shapes", "--count", 200, "--size", 16)
    done = limner("evaluate", bundle, "--data", "shapes", *_QUICK, "--json", "--grid", "grid.png", "--html",
                  "page.html")
    assert done.status == 0
    record = json.loads(done.out)
    assert record["model"]["name"] == "toy"
    assert record["data"]["split"] == "test"
    assert record["judges"]["oracle"]["config"]["steps"] == 3
    found = record["metrics"]
    assert list(found["faithfulness"]["attributes"]) == ["colour", "place", "shape", "size", "texture"]
    assert list(found["diversity"]["left_open"]) == ["ground", "ground texture"]
    assert done.err.count("of real pictures the oracle recognises colour in only") == 1
    assert "Longer training (--oracle steps=12) or more pictures make it better" in done.err
    assert "could not use all of 20 different captions, for example: unknown words" in done.err
    with Image.open("grid.png") as grid:
        assert grid.width > 500
    assert "Paintings: best of 20" in Path("page.html").read_text()
    assert list(found) == ["faithfulness", "diversity", "fd-oracle", "kd-oracle", "prdc-oracle", "timing"]
    again = json.loads(limner("evaluate", bundle, "--data", "shapes", *_QUICK, "--json").out)
    for timed in (again, record):
        del timed["metrics"]["timing"]
    assert again == record
    shown = limner("evaluate", bundle, "--data", "shapes", *_QUICK, "--split", "val", "--metrics",
                   "diversity,fd-oracle")
    assert shown.status == 0
    for words in ("diversity-1", "fd-oracle"):
        assert words in shown.out
    assert "faithfulness-1" not in shown.out


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
                             (["--data", "bare", "--html", "x.pdf"], ".html"),
                             ([*bare_train, "--judge", "nowhere"], "no finished matching model"),
                             ([*bare_train, "--inception", "shapes/metadata.jsonl"], "never called FID"),
                             ([*bare_train, "--metrics", "fid"], "give --inception"),
                             (["--data", "bare", "--oracle", "steps"], "FIELD=VALUE"),
                             (["--data", "bare", "--oracle", "steps=0"], "steps must be at least 1"),
                             (["--data", "bare", "--oracle", "stops=3"], "no field 'stops'"),
                             ([], "--data")):
        done = limner("evaluate", bundle, *arguments)
        assert (done.status, done.out) == (2, ""), arguments
        assert words in done.err
