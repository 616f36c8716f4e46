import pickle

import pytest
from tests.data.pictures_on_disk import smooth_picture

from limner.data.folder import read_folder
from limner.errors import LimnerError
from limner.interop.datasets.oxford102 import import_oxford102


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    for number in range(1, 7):
        picture = root / f"102flowers/jpg/image_{number:05d}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        smooth_picture(number).save(picture)
        text = root / f"text_c10/class_{(number + 1) // 2:05d}/image_{number:05d}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"flower {number}\n")
    return root


def test_class_lists(source, tmp_path):
    (source / "text_c10/trainvalclasses.txt").write_text("class_00001\nclass_00003\n")
    (source / "text_c10/testclasses.txt").write_text("class_00002\n")
    assert import_oxford102(source, tmp_path / "out").counts == {"train": 4, "test": 2}
    records = read_folder(tmp_path / "out", strict=True).records
    assert [(record.file_name, record.label, record.split) for record in records][2:4] == [
        ("jpg/image_00003.jpg", "class_00002", "test"), ("jpg/image_00004.jpg", "class_00002", "test")]
    assert records[4].captions == ("flower 5",)


def test_pickled_split_and_what_is_left_out(source, tmp_path):
    for part, numbers in (("train", (1, 2, 3)), ("test", (5, 6))):
        (source / part).mkdir()
        (source / part / "filenames.pickle").write_bytes(
            pickle.dumps([f"jpg/image_{number:05d}" for number in numbers], protocol=2))
    (source / "102flowers/jpg/image_00001.jpg").unlink()
    (source / "text_c10/class_00001/image_00002.txt").unlink()
    (source / "text_c10/class_00002/image_00003.txt").write_text("\n")
    report = import_oxford102(source, tmp_path / "out")
    assert report.counts == {"test": 2}
    assert report.notes == (
        "1 flowers with captions have no picture and were left out.",
        "1 flowers have an empty caption file and were left out.",
        "1 flowers are in no split and were left out.",
        "1 pictures have no caption file and were left out.")


def test_missing_parts_are_named(source, tmp_path):
    with pytest.raises(LimnerError, match="no class-disjoint split"):
        import_oxford102(source, tmp_path / "out")
    with pytest.raises(LimnerError, match=r"setid\.mat"):
        import_oxford102(source, tmp_path / "out", split="images")
    (source / "text_c10").rename(source / "away")
    with pytest.raises(LimnerError, match="the captions"):
        import_oxford102(source, tmp_path / "out")
