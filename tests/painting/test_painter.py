from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import limner
from limner.errors import LimnerError
from limner.painting.bundle import describe, find
from limner.painting.explain import save_explanation, word_effects
from limner.painting.painter import Painter, load
from limner.painting.png import read_story
from limner.painting.requests import LONGEST_CAPTION, parsed_seeds, request_of
from limner.systems.protocol import Request


@pytest.fixture
def painter(bundle: Path) -> Painter:
    return limner.load(bundle, device="cpu")


def test_one_caption_gives_a_painting_and_anything_more_a_list(painter: Painter) -> None:
    one = painter("red star", seed=7)
    assert (one.caption, one.seed, one.index, one.image.size) == ("red star", 7, 0, (16, 16))
    assert one.array.dtype == np.uint8
    assert one.stages["half"].size == (8, 8)
    assert [p.index for p in painter("red star", images_per_caption=2)] == [0, 1]
    assert [p.caption for p in painter(["red star"])] == ["red star"]
    order = [(p.caption, p.seed, p.index) for p in painter(["red", "blue"], seed=[4, 9], images_per_caption=2)]
    assert order == [(c, s, i) for c in ("red", "blue") for s in (4, 9) for i in (0, 1)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_picture_has_the_same_bits_alone_in_company_and_after_a_reload(bundle: Path, tmp_path: Path,
                                                                         threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        painter = load(bundle, device="cpu")
        many = painter(["red star", "blue ring"], seed=7, images_per_caption=21)
        again = load(painter.save_pretrained(tmp_path / "copy"), device="cpu")
        for place in (0, 15, 16, 20, 21, 41):
            request = Request(many[place].caption, 7, many[place].index)
            for other in (painter, again):
                assert np.array_equal(next(other.paint([request])).array, many[place].array)
        mixed = list(painter.paint([Request(p.caption, p.seed, p.index) for p in many[::-5]]))
        assert all(np.array_equal(a.array, b.array) for a, b in zip(mixed, many[::-5], strict=True))
        assert len({p.array.tobytes() for p in many}) == 42
    finally:
        torch.set_num_threads(before)


def test_the_stream_ends_with_the_painting(painter: Painter) -> None:
    frames = list(painter.stream("red star", seed=3, index=2))
    assert len(frames) == 2
    assert np.array_equal(frames[-1].array, painter("red star", seed=3, images_per_caption=3)[2].array)


def test_half_precision_is_the_callers_choice() -> None:
    """bf16 gives nearly the same picture, says so in the story, and does not leak into the caller's sums."""
    exact, rough = (load("faces-gan-cls", device="cpu", precision=precision) for precision in ("32", "bf16"))
    caption = "a person with a pink afro, glasses and a smile, in a yellow hoodie"
    one, other = exact(caption, seed=3), rough(caption, seed=3)
    difference = np.abs(one.array.astype(int) - other.array.astype(int))
    assert 0 < difference.mean() < 4
    assert (one.settings["precision"], other.settings["precision"]) == ("32", "bf16")
    for frame in rough.stream(caption, seed=3):
        assert np.array_equal(frame.array, other.array)
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with pytest.raises(LimnerError, match="precision must be one of 32, bf16, auto, got 'fp8'"):
        load("faces-gan-cls", device="cpu", precision="fp8")  # pyrefly: ignore[bad-argument-type]


def test_a_saved_painting_tells_its_story(painter: Painter, tmp_path: Path) -> None:
    painting = painter("red star and a caf\u00e9 \U0001f600", seed=7, spread=0.5)
    story = read_story(painting.save(tmp_path / "a.png"))
    assert story == painting.story
    assert story["inputs"] == {"spread": 0.5}
    assert story["model"] == {"name": "toy", "system": "toy", "hash": painter.model.hash}
    assert np.array_equal(next(painter.paint([request_of(story)])).array, painting.array)
    line = painting.parameters.splitlines()[1]
    assert line.startswith("Steps: 1, Sampler: toy, Seed: 7, Image index: 0, Size: 16x16, Model hash: ")
    with pytest.raises(LimnerError, match=r"End the name in \.png"):
        painting.save(tmp_path / "a.jpg")


def test_captions_are_checked(painter: Painter) -> None:
    for caption, words in (("", "empty"), (" \n", "empty"), ("a\x07b", "U\\+0007 at position 2"), (5, "must be text"),
                           ("a\udc80", "U\\+DC80")):
        with pytest.raises(LimnerError, match=words):
            painter([caption])  # type: ignore[list-item]
    assert painter("red \U0001f600").warnings == ("unknown words: \U0001f600.",)
    long = painter("red " * 25_000)
    assert len(long.caption) == LONGEST_CAPTION
    assert "100000 characters" in long.warnings[0]
    with pytest.raises(LimnerError, match="images_per_caption"):
        painter("red", images_per_caption=0)
    with pytest.raises(LimnerError, match="seed must be"):
        painter("red", seed="7")  # type: ignore[arg-type]


def test_an_input_that_the_system_does_not_honour_is_refused(painter: Painter) -> None:
    with pytest.raises(LimnerError, match=r"toy takes no input 'bend' \(its inputs: spread\); no system takes it"):
        painter("red", bend=1)


def test_seeds_are_parsed() -> None:
    assert parsed_seeds("7") == [7]
    assert parsed_seeds("0, 1,4-6") == [0, 1, 4, 5, 6]
    assert parsed_seeds("-3") == [-3]
    for text in ("", "a", "1-", "6-4", "1,,2", "0-99999999"):
        with pytest.raises(LimnerError):
            parsed_seeds(text)


def test_the_hash_follows_the_weights_and_not_the_card(bundle: Path, tmp_path: Path) -> None:
    first = describe(bundle)
    assert (first.name, first.system, first.info["licence"]) == ("toy", "toy", "Apache-2.0")
    (bundle / "README.md").write_text("other words")
    assert describe(bundle).hash == first.hash
    half = load(bundle, device="cpu").save_pretrained(tmp_path / "half", half=True)
    assert describe(half).hash != first.hash
    assert describe(half).size < 0.6 * first.size
    assert "accuracy: 0.5" in (half / "README.md").read_text()
    load(half, device="cpu")("red")


def _edit(bundle: Path, **fields: object) -> None:
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({**config, **fields}))


def test_damaged_bundles_are_refused_in_one_sentence(bundle: Path, tmp_path: Path) -> None:
    def refused(words: str, damage: object) -> None:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        damage(copy)  # type: ignore[operator]
        with pytest.raises(LimnerError, match=words) as caught:
            load(copy, device="cpu")
        assert "\n" not in str(caught.value)

    weights = "generator.safetensors"
    refused("holds no painter", lambda b: (b / "config.json").unlink())
    refused("not a JSON file", lambda b: (b / "config.json").write_text("{"))
    refused("lacks the part 'generator'", lambda b: (b / weights).unlink())
    refused("format 99", lambda b: _edit(b, format=99))
    refused("no system 'nope'", lambda b: _edit(b, system="nope"))
    refused("size must be at least 8", lambda b: _edit(b, config={"size": 1}))
    refused("no field 'sise'", lambda b: _edit(b, config={"sise": 16}))
    refused("config.noise must be int", lambda b: _edit(b, config={"noise": "many"}))
    refused("do not fit its configuration", lambda b: _edit(b, config={"noise": 9}))
    refused("do not fit its configuration", lambda b: save_file({"x": torch.zeros(2)}, b / weights))
    refused("safetensors", lambda b: (b / weights).write_bytes(b"\x80\x04pickled"))
    refused("safetensors", lambda b: (b / weights).write_bytes((b / weights).read_bytes()[:1000]))


def test_bundles_are_found(bundle: Path, tmp_path: Path) -> None:
    assert find(bundle) == bundle
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").touch()
    (run / "config.json").write_text("{}")
    with pytest.raises(LimnerError, match="has no painter yet"):
        find(run)
    shutil.copytree(bundle, run / "painter")
    assert find(run) == run / "painter"
    for name in ("nope", "x" * 5000):
        with pytest.raises(LimnerError, match="there is no painter"):
            find(name)
    with pytest.raises(LimnerError, match="no device"):
        load(bundle, device="quantum")


def test_saving_spares_other_folders(painter: Painter, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").touch()
    with pytest.raises(LimnerError, match="choose a new folder"):
        painter.save_pretrained(tmp_path / "letters")
    assert (tmp_path / "letters" / "mine.txt").exists()


def test_word_effects_leave_out_one_word_at_a_time(painter: Painter, tmp_path: Path) -> None:
    painting = painter("a red star", seed=7)
    effects = word_effects(painter, painting)
    assert [(e.word, e.without.caption) for e in effects] == [("a", "red star"), ("red", "a star"), ("star", "a red")]
    assert effects[0].change == 0.0  # the toy does not know this word
    assert effects[1].change > 0.01
    assert read_story(save_explanation(tmp_path / "e.png", painting, effects)) == painting.story
    with pytest.raises(LimnerError, match="2 to 60 words"):
        word_effects(painter, painter("red"))
