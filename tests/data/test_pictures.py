import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.data.pictures_on_disk import make_folder, smooth_picture

from limner.data.pictures import Corpus, PictureSet, names_of_labels, open_corpus
from limner.data.record import Record
from limner.errors import LimnerError


def test_captions_are_flat_with_ranges(tmp_path):
    records = [Record("a", ("1", "2")), Record("b", ("3",)), Record("c", ("4", "5", "6"))]
    pictures = PictureSet.from_arrays(np.zeros((3, 8, 8, 3), np.uint8), records)
    assert pictures.captions == ["1", "2", "3", "4", "5", "6"]
    assert pictures.caption_ranges.tolist() == [[0, 2], [2, 3], [3, 6]]
    assert pictures.captions_of(2) == ["4", "5", "6"]
    assert len(pictures) == 3
    assert pictures.labels is None
    assert pictures.boxes is None
    assert pictures.keypoints is None


def test_class_numbers_are_the_same_in_every_split(tmp_path):
    labels = ["wren", "auk", "wren", "owl"]
    make_folder(tmp_path, 4, label=lambda index: labels[index], split=lambda index: "test" if index == 3 else "train")
    corpus = open_corpus(tmp_path)
    assert corpus.splits() == ("train", "test")
    assert corpus.split("train").label_names == corpus.split("test").label_names == ["auk", "owl", "wren"]
    assert corpus.split("train").labels.tolist() == [2, 0, 2]
    assert corpus.split("test").labels.tolist() == [1]
    with pytest.raises(LimnerError, match="no pictures in the split 'val'"):
        corpus.split("val")


def test_whole_numbers_as_labels_are_ordered_by_value():
    assert names_of_labels([Record("a", ("a",), label=label) for label in (10, 9, "b", 9, "a")]) == [
        "9", "10", "a", "b"]


def test_a_split_with_some_labels_is_refused(tmp_path):
    make_folder(tmp_path, 3, label=lambda index: "a" if index else None)
    with pytest.raises(LimnerError, match=r"2 of 3 pictures of the train split have a label, 000\.jpg has none"):
        open_corpus(tmp_path)


def test_boxes_and_points_are_fractions_of_the_upright_picture(tmp_path):
    make_folder(tmp_path, 2, kind="png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    smooth_picture(0, 40, 30).save(tmp_path / "000.png", exif=exif)
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "000.png", "text": "a", "bbox": [3, 10, 15, 20], "keypoints": [[30, 40, 1], [5, 5, 0]]}\n'
        '{"file_name": "001.png", "text": "a"}\n')
    pictures = open_corpus(tmp_path).split("train")
    assert pictures.picture_sizes.tolist() == [[30, 40], [40, 30]]
    assert np.allclose(pictures.boxes[0], [0.1, 0.25, 0.5, 0.5])
    assert np.isnan(pictures.boxes[1]).all()
    assert np.allclose(pictures.keypoints[0], [[1, 1, 1], [0, 0, 0]])
    assert not pictures.keypoints[1].any()


def test_points_must_be_the_same_list_for_all():
    records = [Record("a", ("a",), keypoints=((1, 1, 1),)), Record("b", ("b",), keypoints=((1, 1, 1), (2, 2, 1)))]
    with pytest.raises(LimnerError, match="b has 2 key points, others have 1"):
        _ = PictureSet.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), records).keypoints


def test_sets_in_memory_resize_and_refuse_wrong_arrays():
    images = np.stack([np.asarray(smooth_picture(index, 16, 16)) for index in range(3)])
    records = [Record(str(index), ("a",)) for index in range(3)]
    pictures = PictureSet.from_arrays(images, records)
    assert pictures.pixels(16) is images
    assert pictures.pixels(8).shape == (3, 8, 8, 3)
    assert Corpus({"train": pictures}).split("train") is pictures
    for wrong in (images[:2], images.astype(np.float32), images[..., :1]):
        with pytest.raises(LimnerError, match="uint8"):
            PictureSet.from_arrays(wrong, records)


def test_faulty_folders_are_refused_with_the_way_to_all_faults(tmp_path):
    make_folder(tmp_path, 3)
    (tmp_path / "000.jpg").unlink()
    (tmp_path / "001.jpg").unlink()
    with pytest.raises(LimnerError, match=r"no picture 000\.jpg.*1 more: limner data check"):
        open_corpus(tmp_path)


def test_opening_a_folder_needs_no_torch(tmp_path):
    make_folder(tmp_path, 2)
    code = "\n".join([
        "import sys",
        "from limner.data.check import check_folder",
        "from limner.data.pictures import open_corpus",
        "open_corpus(sys.argv[1]).split('train').pixels(8)",
        "check_folder(sys.argv[1])",
        "assert 'torch' not in sys.modules",
    ])
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
