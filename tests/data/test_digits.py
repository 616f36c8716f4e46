"""The digits of alignDRAW: the authors' generator replayed draw by draw, and the data set made with its grammar."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.data.digits import (
    HELD_OUT,
    TEMPLATES,
    VOCABULARY,
    caption_of,
    digits_arrays,
    draw_layout,
    make_digits,
    sample_layout,
    token_ids,
)
from limner.data.digits_source import read_digits
from limner.data.record import Record
from limner.errors import LimnerError

GOLDEN = Path(__file__).parents[1] / "golden" / "aligndraw" / "mnist_captions.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def pool(golden):
    """240 images and labels in the order of a sorted file: the twenty real digits of the golden file, mirrored."""
    images = np.rint(golden["digits"].reshape(20, 28, 28) * 255).astype(np.uint8)
    images = np.concatenate([np.roll(images, shift, axis=2) for shift in range(-6, 6)])
    labels = np.tile(golden["labels"], 12).astype(np.uint8)
    order = np.argsort(labels, kind="stable")
    return images[order], labels[order]


@pytest.fixture(scope="module")
def mnist(pool, tmp_path_factory):
    path = tmp_path_factory.mktemp("mnist") / "digits.npz"
    np.savez(path, x=pool[0], y=pool[1])
    return path


def _idx(array):
    return struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


# ---------------------------------------------------------------------------------------------- the authors' generator


def test_the_golden_draws_give_the_golden_pictures_and_captions(golden):
    recorded = iter(golden["draws"].tolist())

    def draw(low, high):
        asked_low, asked_high, value = next(recorded)
        assert (low, high) == (asked_low, asked_high)
        return value

    counts = np.zeros(8, int)
    for image, tokens in zip(golden["images"], golden["captions"], strict=True):
        layout = sample_layout(draw, golden["labels"], held_out=golden["banned"])
        assert np.array_equal(draw_layout(layout, golden["digits"].reshape(-1, 28, 28)).ravel(), image)
        assert token_ids(caption_of(layout, golden["labels"])) == tokens.tolist()
        counts[layout.template] += 1
    assert list(recorded) == []
    assert counts.tolist() == golden["counts"].tolist()
    assert tuple(golden["vocabulary"].tolist()) == VOCABULARY


def test_every_caption_has_twelve_tokens_of_the_vocabulary():
    for template in TEMPLATES:
        assert len(token_ids(template.format(3, 8))) == 12
    with pytest.raises(LimnerError, match="no word 'seven'"):
        token_ids("the digit seven")


# ------------------------------------------------------------------------------------------------------- the data set


def _holds_held_out(attributes):
    if "place" in attributes:
        banned = dict(zip(("top left", "bottom right", "top right", "bottom left"), HELD_OUT[8:], strict=True))
        return attributes["digit"] == str(banned[attributes["place"]])
    start = 0 if attributes["relation"] == "left of" else 4
    return (attributes["digit 1"], attributes["digit 2"])[0] == str(HELD_OUT[start]) or (
        attributes["digit 2"] == str(HELD_OUT[start + 1]))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_held_out_combinations_are_in_test_only(mnist, split):
    _, records = digits_arrays(400, mnist=mnist, split=split)
    assert {_holds_held_out(record.attributes) for record in records} == {split == "test"}
    labels = {record.label for record in records}
    assert len(labels) == 42 if split == "test" else len(labels) > 100  # 42 = 19 + 19 pairs and 4 single digits


def test_captions_boxes_and_pictures_agree(mnist):
    pictures, records = digits_arrays(200, mnist=mnist, seed=4)
    assert pictures.shape == (200, 60, 60)
    assert pictures.dtype == np.uint8
    for picture, record in zip(pictures, records, strict=True):
        rows, columns = np.nonzero(picture)
        x, y, width, height = record.bbox
        assert x <= columns.min()
        assert columns.max() < x + width
        assert y <= rows.min()
        assert rows.max() < y + height
        words = record.captions[0].split()
        centres = [(box["bbox"][0] + box["bbox"][2] / 2, box["bbox"][1] + box["bbox"][3] / 2) for box in record.objects]
        if len(record.objects) == 2:
            first, second = (words[2], words[-2]) if ("left" in words or "top" in words) else (words[-2], words[2])
            assert (record.attributes["digit 1"], record.attributes["digit 2"]) == (first, second)
            axis = 0 if ("left" in words or "right" in words) else 1
            assert centres[0][axis] < centres[1][axis]
            assert record.attributes["count"] == "two"
            assert record.attributes["relation"] == ("left of", "above")[axis]
        else:
            assert record.attributes == {"count": "one", "digit": words[2], "place": f"{words[6]} {words[7]}"}
            assert (centres[0][0] < 30) == ("left" in words)
            assert (centres[0][1] < 30) == ("top" in words)


def test_a_picture_does_not_depend_on_its_neighbours(mnist):
    together, records = digits_arrays(9, mnist=mnist, seed=1)
    alone, record = digits_arrays(1, mnist=mnist, seed=1, first=6)
    assert np.array_equal(alone[0], together[6])
    assert record[0] == records[6]
    assert not np.array_equal(digits_arrays(1, mnist=mnist, seed=2, first=6)[0], alone)


def test_the_folder(mnist, tmp_path):
    make_digits(tmp_path / "one", mnist=mnist, count=150, seed=2)
    make_digits(tmp_path / "two", mnist=mnist, count=150, seed=2, workers=2)
    one = {file.relative_to(tmp_path / "one"): file.read_bytes() for file in (tmp_path / "one").rglob("*.*")}
    two = {file.relative_to(tmp_path / "two"): file.read_bytes() for file in (tmp_path / "two").rglob("*.*")}
    assert one == two
    info = json.loads((tmp_path / "one/dataset.json").read_text())
    assert info["splits"] == {"train": 128, "val": 7, "test": 15}
    assert info["held_out"] == list(HELD_OUT)
    records = [Record.from_json(json.loads(line)) for line in (tmp_path / "one/metadata.jsonl").open()]
    assert len(records) == 150
    assert {name for record in records for name in record.attributes} == set(info["caption_attributes"])
    with Image.open(tmp_path / "one" / records[0].file_name) as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.asarray(picture), digits_arrays(1, mnist=mnist, seed=2)[0][0])


def test_bad_held_out_numbers_are_refused(mnist, tmp_path):
    for numbers in ([1] * 11, [11] * 12, [10] * 12):
        with pytest.raises(LimnerError, match="held_out must be 12 numbers from 0 to 10"):
            make_digits(tmp_path / "digits", mnist=mnist, count=10, held_out=numbers)
    with pytest.raises(LimnerError, match="split must be one of"):
        digits_arrays(1, mnist=mnist, split="dev")
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------- MNIST files


def test_all_forms_of_the_file_hold_the_same_digits(pool, tmp_path):
    images, labels = pool
    np.savez_compressed(tmp_path / "keras.npz", x_train=images, y_train=labels, x_test=images[::2], y_test=labels[::2])
    for folder, pack, suffix in (("idx", bytes, ""), ("gz", gzip.compress, ".gz")):
        (tmp_path / folder).mkdir()
        for name, array in (("train-images-idx3", images), ("train-labels-idx1", labels),
                            ("t10k-images-idx3", images[::2]), ("t10k-labels-idx1", labels[::2])):
            (tmp_path / folder / f"{name}-ubyte{suffix}").write_bytes(pack(_idx(array)))
    for path in (tmp_path / "keras.npz", tmp_path / "idx", tmp_path / "gz"):
        source = read_digits(path)
        for digits, step in ((source.train, 1), (source.test, 2)):
            assert np.array_equal(digits.images, images[::step])
            assert np.array_equal(digits.labels, labels[::step])


def test_a_source_without_a_test_part_lends_every_sixth_digit(pool, mnist, tmp_path):
    images, labels = pool
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(_idx(labels))
    for path in (mnist, tmp_path / "train-images-idx3-ubyte.gz"):
        source = read_digits(path)
        assert np.array_equal(source.test.images, images[5::6])
        assert len(source.train.labels) == 200


def test_unusable_files_are_refused_with_a_reason(pool, tmp_path):
    images, labels = pool
    good, path = _idx(images), tmp_path / "train-images-idx3-ubyte"
    beside = tmp_path / "train-labels-idx1-ubyte"
    with pytest.raises(LimnerError, match=r"there is no MNIST file .* does not download"):
        read_digits(path)
    with pytest.raises(LimnerError, match="has no train-images-idx3-ubyte"):
        read_digits(tmp_path)
    path.write_bytes(good)
    with pytest.raises(LimnerError, match="no labels beside"):
        read_digits(path)
    beside.write_bytes(_idx(labels))
    read_digits(path)
    for content, words in (
        (b"", "is not an IDX file of bytes"),
        (b"\x89PNG....", "is not an IDX file of bytes"),
        (good[:9], "is cut short or damaged"),
        (good[:-100], "is cut short or damaged"),
        (_idx(images[:, :20]), r"images must be bytes of shape \(N, 28, 28\)"),
        (_idx(images[:-1]), "one whole number as label for each of 239 images"),
        (_idx(np.where(np.arange(240)[:, None, None] == 7, 0, images).astype(np.uint8)), "image 7 .* has no ink"),
    ):
        path.write_bytes(content)
        with pytest.raises(LimnerError, match=words):
            read_digits(path)
    path.write_bytes(good)
    for content, words in ((labels + 1, "labels must be the digits 0 to 9, got 10"), (labels % 9, "there is no 9")):
        beside.write_bytes(_idx(content))
        with pytest.raises(LimnerError, match=words):
            read_digits(path)


def test_unusable_npz_and_gz_files_are_refused_with_a_reason(pool, tmp_path):
    path = tmp_path / "digits.npz"
    np.savez(path, pictures=pool[0])
    with pytest.raises(LimnerError, match="holds the arrays pictures; expected an NPZ file"):
        read_digits(path)
    np.savez(path, x=np.array([{}], dtype=object), y=pool[1])
    with pytest.raises(LimnerError, match="cannot be read as an NPZ file"):
        read_digits(path)
    np.savez(path, x=pool[0], y=pool[1])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LimnerError, match="cannot be read as an NPZ file"):
        read_digits(path)
    path.write_bytes(b"")
    with pytest.raises(LimnerError, match="cannot be read as an NPZ file"):
        read_digits(path)
    broken = tmp_path / "train-images-idx3-ubyte.gz"
    broken.write_bytes(gzip.compress(_idx(pool[0]))[:200])
    with pytest.raises(LimnerError, match="cannot be read"):
        read_digits(broken)
