from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import Run

from limner.systems import presets


def test_from_a_folder_of_pictures_to_a_painting_and_a_bundle(limner: Run) -> None:
    assert limner("data", "make", "shapes", "data", "--count", 40).status == 0
    trained = limner("train", "gan-cls-debug", "data", "--out", "run", "--device", "cpu", "--seed", 3)
    assert (trained.status, trained.out) == (0, "run\n")
    taken = limner("train", "gan-cls-debug", "data", "--out", "run", "--seed", 3)
    assert taken.status == 2
    assert "--resume" in taken.err
    assert limner("train", "gan-cls-debug", "data", "--out", "run", "--seed", 3, "--resume").status == 0
    assert limner("train", "gan-cls-debug", "data", "--out", "run", "--seed", 4, "--resume").status == 2
    painted = limner("paint", "a red ring", "--model", "run", "--seed", 7, "--input", "blend=a blue star", "--json")
    story = json.loads(painted.out)
    assert (story["model"]["name"], story["model"]["system"]) == ("run", "gan-cls")
    assert story["inputs"] == {"blend": "a blue star"}
    again = limner("paint", "--like", "painting.png", "--out", "again.png")
    assert again.err == "limner: painted again: every pixel is the same.\n"
    assert limner("models", "export", "run", "bundle").status == 0
    card = Path("bundle/README.md").read_text()
    for words in ("gan-cls-debug", "shapes", "64", "Apache-2.0", "agreement", "limner paint"):
        assert words in card


def test_broken_pictures_are_left_out_only_when_told(limner: Run) -> None:
    assert limner("data", "make", "shapes", "data", "--count", 40).status == 0
    broken = sorted(Path("data").rglob("*.png"))[3]
    broken.write_bytes(b"no picture")
    refused = limner("train", "gan-cls-debug", "data", "--out", "run", "--device", "cpu")
    assert refused.status == 2
    assert "--skip-broken" in refused.err
    done = limner("train", "gan-cls-debug", "data", "--out", "other", "--device", "cpu", "--skip-broken",
                  "--cache-dir", "cache")
    assert done.status == 0
    assert f"left out: {broken.relative_to('data').as_posix()}" in done.err
    assert list(Path("cache").iterdir())


def test_presets_are_listed(limner: Run) -> None:
    listed = limner("train", "--list").out
    for preset in presets():
        [line] = [line for line in listed.splitlines() if line.split()[0] == preset]
        assert len(line.split()) > 3, "a preset says in its docstring what it is"


def test_a_dry_run_prints_the_configuration(limner: Run) -> None:
    done = limner("train", "gan-cls-debug", "nowhere", "--dry-run", "--images", 5000, "--batch-size", 4,
                  "--set", "gan.noise_size=12", "--set", "gan.augment=color")
    told = json.loads(done.out)
    assert told["settings"]["images"] == 5000
    assert told["config"]["gan"]["batch_size"] == told["config"]["matching"]["batch_size"] == 4
    assert (told["config"]["gan"]["noise_size"], told["config"]["gan"]["augment"]) == (12, "color")


@pytest.mark.parametrize(("arguments", "words"), [
    (["nope", "x", "--out", "y"], "there is no system or preset 'nope'"),
    (["gan-cls", "x"], "say with --out"),
    (["gan-cls"], "name a system and a folder"),
    (["gan-cls", "nowhere", "--out", "y"], "nowhere"),
    (["gan-cls", "x", "--dry-run", "--set", "matching.nope=1"], "config.matching has no field 'nope'"),
    (["gan-cls", "x", "--dry-run", "--set", "nope.width=1"], "config has no field 'nope'"),
    (["gan-cls", "x", "--dry-run", "--set", "gan.noise_size.x=1"], "gan.noise_size has no fields of its own"),
    (["gan-cls", "x", "--dry-run", "--set", "gan.wrong_weight=2"], "wrong_weight must be between 0 and 1, got 2"),
    (["gan-cls", "x", "--dry-run", "--set", "gan.nope=2"], "config.gan has no field 'nope'"),
    (["gan-cls", "x", "--dry-run", "--set", "style.width=8"], "config.style lacks the field 'schedule'"),
    (["gan-cls", "x", "--dry-run", "--set", "matching.batch_size=many"], "config.matching.batch_size must be int"),
    (["gan-cls", "x", "--dry-run", "--set", "matching.batch_size"], "FIELD=VALUE"),
    (["gan-cls", "x", "--dry-run", "--device", "abacus"], "settings.device must be one of"),
    (["gan-cls", "x", "--dry-run", "--images", "0"], "images must be at least 1"),
])
def test_mistakes_end_in_one_sentence(limner: Run, arguments: list[str], words: str) -> None:
    done = limner("train", *arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not Path("y").exists()


def test_stages_of_another_run_are_taken_over_where_nothing_differs(limner: Run) -> None:
    assert limner("data", "make", "shapes", "data", "--count", 40).status == 0
    assert limner("train", "gan-cls-debug", "data", "--out", "first", "--device", "cpu").status == 0
    change = ("--set", "gan.variety_weight=1", "--device", "cpu")
    done = limner("train", "gan-cls-debug", "data", "--out", "short", *change, "--stages-from", "first")
    assert done.status == 0
    assert "taken over from first: text-encoder" in done.err
    assert limner("train", "gan-cls-debug", "data", "--out", "whole", *change).status == 0
    for name in ("generator", "text_encoder"):
        assert (Path(f"short/painter/{name}.safetensors").read_bytes()
                == Path(f"whole/painter/{name}.safetensors").read_bytes())
    told = [json.loads(line) for line in Path("short/log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in told} == {"gan"}
    assert limner("train", "gan-cls-debug", "data", "--out", "short", *change, "--resume").status == 0


@pytest.mark.parametrize(("preset", "earlier"), [("gan-cls-debug", "text-encoder, gan"),
                                                 ("attngan-debug", "damsm, gan")])
def test_a_trained_painter_gets_a_prior_without_being_trained_again(limner: Run, preset: str, earlier: str) -> None:
    assert limner("data", "make", "shapes", "data", "--count", 40).status == 0
    assert limner("train", preset, "data", "--out", "first", "--device", "cpu").status == 0
    prior = ("--set", "prior.schedule.images=640", "--set", "prior.width=8", "--set", "prior.batch_size=32")
    done = limner("train", preset, "data", "--out", "second", "--device", "cpu", *prior, "--stages-from", "first")
    assert done.status == 0
    assert f"taken over from first: {earlier}" in done.err
    first, second = (json.loads(Path(f"{run}/painter/config.json").read_text()) for run in ("first", "second"))
    assert second["info"] == {**first["info"], "name": "second"}
    caption = ("paint", "a circle", "--seed", 3, "-n", 2)
    assert limner(*caption, "--model", "first", "--out", "first.png").status == 0
    assert limner(*caption, "--model", "second", "--out", "second.png").status == 0
    assert limner(*caption, "--model", "second", "--input", "complete=0", "--out", "plain.png").status == 0
    pixels = {name: Image.open(f"{name}.png").tobytes() for name in ("first", "second", "plain")}
    assert pixels["plain"] == pixels["first"] != pixels["second"]
    for arguments, words in ((("--model", "first", "--input", "complete=0"), "has no prior over complete captions"),
                             (("--model", "second", "--input", "complete=2"), "complete must be 0 or 1")):
        done = limner(*caption, *arguments, "--out", "refused.png")
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert words in done.err


@pytest.mark.parametrize(("options", "words"), [
    (("--seed", 1), "its seed differs"),
    (("--set", "matching.learning_rate=0.5"), "learning_rate"),
    (("--images", 32), "--images"),
    (("--out", "elsewhere", "--stages-from", "data"), "data is no run folder"),
])
def test_stages_that_would_come_out_otherwise_are_not_taken_over(limner: Run, options: tuple[object, ...], words: str
                                                                 ) -> None:
    assert limner("data", "make", "shapes", "data", "--count", 40).status == 0
    assert limner("train", "gan-cls-debug", "data", "--out", "first", "--device", "cpu").status == 0
    done = limner("train", "gan-cls-debug", "data", "--out", "second", "--stages-from", "first", *options)
    assert done.status == 2
    assert words in done.err
    assert not Path("second").exists()
