import pickle

import numpy as np
import pytest
from PIL import Image
from tests.interop.datasets.stand_ins import (
    CLASSES,
    PARTS,
    birds,
    make_cub,
    make_reduced_cub,
    point,
    write_pickles,
)

from limner.data.folder import read_folder
from limner.data.pictures import open_corpus
from limner.errors import LimnerError
from limner.interop.datasets.cub import import_cub


@pytest.fixture
def source(tmp_path):
    return make_cub(tmp_path / "source")


def by_number(out):
    numbers = {path.rsplit("/", 1)[1]: number for number, path in birds()}
    return {numbers[record.file_name.rsplit("/", 1)[1]]: record for record in read_folder(out, strict=True).records}


def test_the_official_layout(source, tmp_path):
    told = []
    report = import_cub(source, tmp_path / "out", progress=lambda *what: told.append(what))
    assert report.counts == {"train": 9, "test": 3}
    assert report.notes == ()
    assert told[-1][1:] == (12, 12)
    records = by_number(tmp_path / "out")
    record = records[7]
    assert record.captions == ("bird number 7", "this bird is 7")
    assert record.label == "003.Grey_bird"
    assert record.bbox == (7, 2, 20, 10.5)
    assert record.keypoints == tuple(point(7, part) for part in range(1, 16))
    assert {records[number].split for number in (10, 11, 12)} == {"test"}
    info = read_folder(tmp_path / "out").info
    assert info["keypoint_names"] == list(PARTS)
    assert "research" in info["licence"]
    assert info["captions"] == "text_c10"
    for number, path in birds():
        picture = tmp_path / "out/images" / path
        assert picture.samefile(source / "CUB_200_2011/images" / path), number
    train = open_corpus(tmp_path / "out").split("train")
    assert train.keypoints.shape == (9, 15, 3)
    assert np.allclose(train.boxes[0], [1 / 40, 2 / 30, 20 / 40, 10.5 / 30])
    assert train.label_names == list(CLASSES)


def test_the_inner_folder_can_be_given_too_and_pictures_copied(source, tmp_path):
    assert import_cub(source / "CUB_200_2011", tmp_path / "out", copy=True).counts == {"train": 9, "test": 3}
    path = birds()[0][1]
    assert not (tmp_path / "out/images" / path).samefile(source / "CUB_200_2011/images" / path)


def test_the_other_splits(source, tmp_path):
    assert import_cub(source, tmp_path / "a", split="classes").counts == {"train": 6, "val": 3, "test": 3}
    assert import_cub(source, tmp_path / "b", split="images").counts == {"train": 6, "test": 6}
    records = by_number(tmp_path / "b")
    assert records[1].split == "train"
    assert records[2].split == "test"


def test_the_pickles_of_stackgan_and_attngan(tmp_path):
    source = make_cub(tmp_path / "source", classes=False)
    write_pickles(source)
    assert import_cub(source, tmp_path / "stackgan").counts == {"train": 9, "test": 3}
    assert by_number(tmp_path / "stackgan")[1].captions == ("bird number 1", "this bird is 1")
    bare = make_cub(tmp_path / "bare", classes=False, captions=False)
    write_pickles(bare, words=True)
    report = import_cub(bare, tmp_path / "attngan")
    assert report.counts == {"train": 9, "test": 3}
    assert any("captions.pickle" in note for note in report.notes)
    assert by_number(tmp_path / "attngan")[12].captions == ("a red bird", "bird a")


def test_a_pickle_that_is_a_program_is_refused(tmp_path):
    source = make_cub(tmp_path / "source", classes=False)
    write_pickles(source)
    mark = tmp_path / "ran"

    class Program:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    (source / "test/filenames.pickle").write_bytes(pickle.dumps(Program(), protocol=2))
    with pytest.raises(LimnerError, match=r"filenames\.pickle"):
        import_cub(source, tmp_path / "out")
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_is_counted(source, tmp_path):
    paths = dict(birds())
    (source / "CUB_200_2011/images" / paths[1]).unlink()
    (source / "text_c10" / paths[2]).with_suffix(".txt").unlink()
    (source / "text_c10" / paths[3]).with_suffix(".txt").write_bytes(b"a caf\xe9 bird\nfine\n")
    (source / "valclasses.txt").unlink()
    report = import_cub(source, tmp_path / "out")
    assert report.counts == {"train": 4, "test": 3}
    assert report.notes == (
        "1 of the 12 birds in images.txt have no picture file and were left out.",
        "1 of the 12 birds in images.txt have no captions and were left out.",
        "3 of the 12 birds in images.txt are in no split and were left out.",
        "1 captions held bytes that are not UTF-8; each became a blank.")
    assert by_number(tmp_path / "out")[3].captions == ("a caf bird", "fine")
    assert read_folder(tmp_path / "out").info["import_notes"] == list(report.notes)


@pytest.mark.parametrize(("gone", "word"), [
    ("CUB_200_2011/images.txt", r"could not find the list of pictures.*images\.txt"),
    ("text_c10", "could not find the captions"),
    ("trainclasses.txt", "no class-disjoint split"),
])
def test_missing_parts_are_named(source, tmp_path, gone, word):
    (source / gone).rename(tmp_path / "away")
    if gone == "trainclasses.txt":
        (source / "valclasses.txt").unlink()
    with pytest.raises(LimnerError, match=word):
        import_cub(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_tables_are_named_with_their_line(source, tmp_path):
    path = source / "CUB_200_2011/parts/part_locs.txt"
    path.write_text(path.read_text() + "1 16 3.0 4.0 1\n")
    with pytest.raises(LimnerError, match=r"part_locs\.txt, line 181"):
        import_cub(source, tmp_path / "out")
    path.unlink()
    (source / "CUB_200_2011/bounding_boxes.txt").write_text("1 2.0 3.0 x 5.0\n")
    with pytest.raises(LimnerError, match="picture 1"):
        import_cub(source, tmp_path / "out")
    (source / "testclasses.txt").write_text(CLASSES[0])
    with pytest.raises(LimnerError, match="not disjoint"):
        import_cub(source, tmp_path / "out")


def test_the_reduced_layout(tmp_path):
    source = make_reduced_cub(tmp_path / "source")
    report = import_cub(source, tmp_path / "out")
    assert report.counts == {"train": 5, "val": 2, "test": 2}
    assert report.notes == (
        "2 birds have captions from captions_human.jsonl.",
        "2 captions of captions_human.jsonl held damaged characters; each became a blank.",
        "10 birds have captions from captions_from_attributes.jsonl.",
        "12 captions of captions_from_attributes.jsonl held damaged characters; each became a blank.",
        "6 birds are whole pictures.", "3 birds are pictures cut to the box.",
        "3 of the 12 birds in images.txt have no picture file and were left out.")
    records = {record.file_name: record for record in read_folder(tmp_path / "out", strict=True).records}
    full = records[f"full200/{birds()[0][1]}"]
    assert full.captions == ("captions_human 1", "a bird 1")
    assert full.bbox == (0.5, 1, 10, 5.25)
    assert full.attributes == {"wing": "blue", "size": "large"}
    cut = records["crops227/cut/8.jpg"]
    assert cut.label == "003.Grey_bird"
    assert cut.bbox == (0, 0, 20, 15)
    assert cut.attributes == {"size": "small"}
    assert cut.keypoints == tuple(point(8, part) for part in range(1, 16))
    assert cut.split == "test"
    assert Image.open(tmp_path / "out/crops227/cut/8.jpg").size == (20, 15)


def test_views_and_captions_of_the_reduced_layout(tmp_path):
    source = make_reduced_cub(tmp_path / "source")
    assert sum(import_cub(source, tmp_path / "full", views="full").counts.values()) == 6
    assert sum(import_cub(source, tmp_path / "cut", views="crops").counts.values()) == 5
    report = import_cub(source, tmp_path / "human", captions="captions_human.jsonl")
    assert report.counts == {"train": 2}
    with pytest.raises(LimnerError, match="could not find the captions"):
        import_cub(source, tmp_path / "none", captions="nothing.jsonl")


def test_crops_of_the_official_layout_are_refused(source, tmp_path):
    with pytest.raises(LimnerError, match="no crops"):
        import_cub(source, tmp_path / "out", views="crops")
