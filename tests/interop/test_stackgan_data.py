from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.systems.stackgan import official

from limner.data.batch import as_uint8
from limner.data.folder import read_folder
from limner.errors import LimnerError
from limner.interop.stackgan_data import crop_to_objects, import_embeddings, object_square
from limner.text.embedding_table import EmbeddingTable


def _folder(root: Path, rows: list[dict[str, object]], picture: Image.Image) -> Path:
    for row in rows:
        path = root / str(row["file_name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return root


def test_the_squares_and_their_pixels_are_the_authors() -> None:
    golden = official.arrays("preprocess")
    picture = Image.fromarray(golden["in/image_hwc_u8"])
    for box, square, pixels in zip(golden["in/bboxes_xywh"], golden["out/crop_rect_x1y1x2y2"],
                                   golden["out/resized_76"], strict=True):
        ours = object_square(box, width=picture.width, height=picture.height)
        assert ours == tuple(square)
        resized = picture.crop(ours).resize((76, 76), Image.Resampling.BILINEAR)  # the authors' filter
        assert np.abs(np.asarray(resized).astype(int) - pixels).max() <= 1
    whole = np.asarray(picture.resize((76, 76), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(whole - golden["out/resized_76_nobbox"]).max() <= 1


def test_our_rounding_of_a_picture_is_at_most_one_above_the_authors_cut() -> None:
    import torch

    golden = official.arrays("preprocess")
    difference = as_uint8(torch.from_numpy(golden["in/tanh_values"])).numpy().astype(int) - golden["out/sample_uint8"]
    assert set(difference.tolist()) == {0, 1}


def test_a_folder_cut_to_its_objects(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8))
    rows = [{"file_name": "images/a/1.png", "text": ["a bird", "a red bird"], "bbox": [60, 40, 50, 30],
             "keypoints": [[70, 50, 1], [5, 5, 1]], "label": "a", "split": "val"}]
    source = _folder(tmp_path / "source", rows, picture)
    assert crop_to_objects(source, tmp_path / "out") == {"val": 1}
    [record] = read_folder(tmp_path / "out").records
    cut = np.asarray(Image.open(tmp_path / "out" / record.file_name))
    assert np.array_equal(cut, np.asarray(picture)[18:92, 48:122])  # half side 37 around (85, 55)
    assert record.bbox == (12, 22, 50, 30)
    assert record.keypoints == ((22, 32, 1), (-43, -13, 0))
    assert (record.captions, record.label) == (("a bird", "a red bird"), "a")


@pytest.mark.parametrize(("box", "words"), [(None, "1 of 1 pictures .* have no box"),
                                            ([900, 900, 10, 10], "lies outside its 200x150 pixels")])
def test_pictures_without_a_usable_box_are_refused(tmp_path: Path, box: list[int] | None, words: str) -> None:
    row = {"file_name": "1.png", "text": "a bird"} | ({} if box is None else {"bbox": box})
    source = _folder(tmp_path / "source", [row], Image.new("RGB", (200, 150)))
    with pytest.raises(LimnerError, match=words):
        crop_to_objects(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _authors(root: Path, keys: dict[str, list[str]], captions: int = 2) -> dict[str, np.ndarray]:
    """Their folders of pickles (protocol 2, as Python 2 wrote them); the embeddings by key."""
    rng = np.random.default_rng(0)
    vectors = {}
    for split, names in keys.items():
        (root / split).mkdir(parents=True)
        made = [rng.normal(size=(captions, 8)).astype(np.float32) for _ in names]
        vectors |= dict(zip(names, made, strict=True))
        (root / split / "filenames.pickle").write_bytes(pickle.dumps(names, protocol=2))
        (root / split / "char-CNN-RNN-embeddings.pickle").write_bytes(pickle.dumps(made, protocol=2))
    return vectors


def _birds(root: Path, captions: int = 2) -> Path:
    rows = [{"file_name": f"images/{key}.jpg", "text": [f"bird {key} {n}" for n in range(captions)], "split": split}
            for key, split in (("001.A/x", "train"), ("001.A/y", "train"), ("002.B/x", "test"))]
    return _folder(root, rows, Image.new("RGB", (16, 16)))


def test_the_authors_embeddings_become_a_table(tmp_path: Path) -> None:
    vectors = _authors(tmp_path / "theirs", {"train": ["001.A/y", "001.A/x"], "test": ["002.B/x"]})
    folder = _birds(tmp_path / "birds")
    assert import_embeddings(tmp_path / "theirs", folder, tmp_path / "table") == 6
    table = EmbeddingTable.load(tmp_path / "table")
    for key, expected in vectors.items():
        captions = [f"bird {key} {n}" for n in range(2)]
        assert np.array_equal(table.encode(captions).numpy(), expected)
    assert "bird  001.A/x\t1" in table


def test_pictures_in_one_folder_are_told_by_their_names(tmp_path: Path) -> None:
    vectors = _authors(tmp_path / "theirs", {"train": ["COCO_1", "COCO_2"]}, captions=1)
    rows = [{"file_name": f"{folder}/COCO_{n}.jpg", "text": f"scene {n}"} for folder, n in (("a", 1), ("b", 2))]
    folder = _folder(tmp_path / "coco", rows, Image.new("RGB", (16, 16)))
    assert import_embeddings(tmp_path / "theirs", folder, tmp_path / "table") == 2
    assert np.array_equal(EmbeddingTable.load(tmp_path / "table").encode(["scene 2"]).numpy(), vectors["COCO_2"])
    rows.append({"file_name": "c/COCO_1.jpg", "text": "another"})
    with pytest.raises(LimnerError, match="1 pictures share their name"):
        import_embeddings(tmp_path / "theirs", _folder(tmp_path / "twice", rows, Image.new("RGB", (16, 16))),
                          tmp_path / "other")


def test_embeddings_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    _authors(tmp_path / "theirs", {"train": ["001.A/y", "001.A/x"], "test": []})
    with pytest.raises(LimnerError, match="3 captions and 2 embeddings"):
        import_embeddings(tmp_path / "theirs", _birds(tmp_path / "three", captions=3), tmp_path / "table")
    with pytest.raises(LimnerError, match="no embeddings for 2 of the captions"):
        import_embeddings(tmp_path / "theirs", _birds(tmp_path / "two"), tmp_path / "table")
    (tmp_path / "theirs" / "train" / "char-CNN-RNN-embeddings.pickle").write_bytes(pickle.dumps([1, 2], protocol=2))
    with pytest.raises(LimnerError, match=r"an array \(captions, numbers\)"):
        import_embeddings(tmp_path / "theirs", _birds(tmp_path / "again"), tmp_path / "table")
    with pytest.raises(LimnerError, match=r"could not find the embeddings.*skip-thought-embeddings\.pickle"):
        import_embeddings(tmp_path / "theirs", tmp_path / "two", tmp_path / "table",
                          file="skip-thought-embeddings.pickle")


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LimnerError, match=r"is no table of embeddings: it has no embeddings\.safetensors"):
        EmbeddingTable.load(tmp_path)
    (tmp_path / "embeddings.safetensors").write_bytes(b"nothing")
    (tmp_path / "captions.json").write_text("[]")
    with pytest.raises(LimnerError, match="cannot be read"):
        EmbeddingTable.load(tmp_path)
