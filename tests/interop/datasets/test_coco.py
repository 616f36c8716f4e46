import json

import pytest
from tests.data.pictures_on_disk import smooth_picture

from limner.data.folder import read_folder
from limner.errors import LimnerError
from limner.interop.datasets.coco import import_coco


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    (root / "annotations").mkdir(parents=True)
    for part, numbers in (("train", (1, 2, 3)), ("val", (4,))):
        names = {number: f"COCO_{part}2014_{number:012d}.jpg" for number in numbers}
        (root / f"{part}2014").mkdir()
        for number, name in names.items():
            smooth_picture(number).save(root / f"{part}2014" / name)
        images = [{"id": number, "file_name": name} for number, name in names.items()]
        captions = [{"id": 10 * number + turn, "image_id": number, "caption": f"scene {number}\n {turn}."}
                    for turn in (2, 1) for number in numbers if number != 3]
        instances = [
            {"id": number, "image_id": number, "category_id": 18, "bbox": [1, 2, 3.5, 4], "iscrowd": 0,
             "segmentation": [[1, 2, 3, 4, 5, 6]]} for number in numbers] + [
            {"id": 99, "image_id": numbers[0], "category_id": 18, "bbox": [1, 2, 0, 4], "segmentation": []}]
        (root / f"annotations/captions_{part}2014.json").write_text(
            json.dumps({"images": images, "annotations": captions}))
        (root / f"annotations/instances_{part}2014.json").write_text(json.dumps(
            {"images": images, "annotations": instances, "categories": [{"id": 18, "name": "dog"}]}))
    return root


def test_captions_and_objects(source, tmp_path):
    report = import_coco(source, tmp_path / "out")
    assert report.counts == {"train": 2, "test": 1}
    assert report.notes == (
        "1 objects of instances_train2014.json have a box without area and were left out.",
        "1 train pictures have no captions and were left out.",
        "1 objects of instances_val2014.json have a box without area and were left out.")
    first, _, held_out = read_folder(tmp_path / "out", strict=True).records
    assert first.file_name == "train2014/COCO_train2014_000000000001.jpg"
    assert first.captions == ("scene 1 1.", "scene 1 2.")
    assert first.objects == ({"bbox": [1, 2, 3.5, 4], "category": "dog", "crowd": False},)
    assert first.label is None
    assert held_out.split == "test"


def test_merged_pictures_without_instances(source, tmp_path):
    (source / "images").mkdir()
    for part in ("train", "val"):
        for path in (source / f"{part}2014").iterdir():
            path.rename(source / "images" / path.name)
        (source / f"{part}2014").rmdir()
        (source / f"annotations/instances_{part}2014.json").unlink()
    assert import_coco(source, tmp_path / "out").counts == {"train": 2, "test": 1}
    assert read_folder(tmp_path / "out", strict=True).records[0].objects is None


@pytest.mark.parametrize(("content", "word"), [
    ("{", "not a JSON file"), ("[]", "the list 'images' is missing"), ('{"images": []}', "'annotations' is missing"),
    ('{"images": [{"id": 1}], "annotations": []}', "not a COCO caption file"),
])
def test_wrong_annotations_are_named(source, tmp_path, content, word):
    (source / "annotations/captions_val2014.json").write_text(content)
    with pytest.raises(LimnerError, match=word):
        import_coco(source, tmp_path / "out")


def test_nothing_found_says_what_was_looked_for(tmp_path):
    with pytest.raises(LimnerError, match=r"captions_train2014\.json"):
        import_coco(tmp_path, tmp_path / "out")
