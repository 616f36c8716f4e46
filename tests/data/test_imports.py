"""Tables and shards into the folder format, and the writer that they share."""

import io
import json
import subprocess
import sys
import tarfile

import pytest
from tests.data.pictures_on_disk import encoded, make_folder, smooth_picture

from limner.data.folder import read_folder
from limner.data.record import Record
from limner.data.shards import import_shards
from limner.data.tables import import_tables
from limner.data.writing import write_folder
from limner.errors import LimnerError

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra tables")
parquet = pytest.importorskip("pyarrow.parquet")


def pictures(count):
    return [encoded(smooth_picture(index), "PNG" if index % 2 else "JPEG") for index in range(count)]


def write_table(path, columns, metadata=None):
    table = pyarrow.table(columns)
    parquet.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)


def test_a_table_in_the_hugging_face_layout(tmp_path):
    data = pictures(3)
    names = {"info": {"features": {"label": {"names": ["auk", "wren"], "_type": "ClassLabel"}}}}
    write_table(tmp_path / "train-00000-of-00001.parquet", {
        "image": [{"bytes": data[0], "path": "birds/a.jpg"}, {"bytes": data[1], "path": None}],
        "text": ["one", "two"], "label": [1, 0], "bbox": [[1.0, 2.0, 3.0, 4.0], None],
        "attributes": [{"wing": "red", "bill": None}, {"wing": None, "bill": "long"}],
    }, {"huggingface": json.dumps(names)})
    write_table(tmp_path / "validation-00000-of-00001.parquet", {
        "image": [{"bytes": data[2], "path": "../c.jpg"}], "text": ["three"], "label": [1],
        "bbox": [[1.0, 2.0, 3.0, 4.0]], "attributes": [{"wing": "blue", "bill": None}]})
    assert import_tables(tmp_path, tmp_path / "out") == {"train": 2, "val": 1}
    folder = read_folder(tmp_path / "out", strict=True)
    first, second, third = folder.records
    assert first == Record("images/0000000-a.jpg", ("one",), label="wren", bbox=(1, 2, 3, 4),
                           attributes={"wing": "red"})
    assert second.file_name == "images/0000001-picture.png"
    assert second.attributes == {"bill": "long"}
    assert third.split == "val"
    assert third.file_name == "images/0000002-c.jpg"
    assert [(tmp_path / "out" / record.file_name).read_bytes() for record in folder.records] == data


def test_plain_bytes_and_lists_of_captions(tmp_path):
    write_table(tmp_path / "a.parquet", {"picture": pictures(2), "caption": [["a", "b"], ["c"]],
                                         "split": ["test", "validation"]})
    assert import_tables(tmp_path / "a.parquet", tmp_path / "out", image_column="picture") == {"test": 1, "val": 1}
    assert read_folder(tmp_path / "out", strict=True).records[0].captions == ("a", "b")


@pytest.mark.parametrize(("columns", "word"), [
    ({"image": [b"x"], "words": ["a"]}, "no column .* with captions.*text_column"),
    ({"img": [b"x"], "text": ["a"]}, "no column 'image'"),
    ({"image": [{"bytes": None, "path": "a.jpg"}], "text": ["a"]}, r"only the path a\.jpg"),
    ({"image": [b"x"], "text": [""]}, "row 0: text must be"),
    ({"image": [b"x"], "text": ["a"], "split": ["rest"]}, "row 0: split must be"),
])
def test_tables_that_cannot_be_read_say_why(tmp_path, columns, word):
    write_table(tmp_path / "a.parquet", columns)
    with pytest.raises(LimnerError, match=word):
        import_tables(tmp_path / "a.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(LimnerError, match="cannot be read as Parquet"):
        import_tables(tmp_path, tmp_path / "out")
    with pytest.raises(LimnerError, match="no Parquet file"):
        import_tables(tmp_path / "none", tmp_path / "out")


def test_a_missing_extra_is_named(tmp_path):
    code = ("import sys; sys.modules['pyarrow'] = None\n"
            "from limner.data.tables import import_tables; import_tables('a.parquet', 'out')")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "pip install limner[tables]" in told.stderr.splitlines()[-1]


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_shards(tmp_path):
    data = pictures(3)
    write_tar(tmp_path / "0.tar", [
        ("a/1.jpg", data[0]), ("a/1.txt", b"one\n\ntwo\n"), ("a/1.cls", b"3"),
        ("a/2.PNG", data[1]), ("a/2.json", json.dumps({"caption": "three", "label": "auk", "split": "test"}).encode()),
    ])
    write_tar(tmp_path / "1.tar", [("2.jpg", data[2]), ("2.txt", b"four")])
    assert import_shards(tmp_path, tmp_path / "out") == {"train": 2, "test": 1}
    folder = read_folder(tmp_path / "out", strict=True)
    assert [record.captions for record in folder.records] == [("one", "two"), ("three",), ("four",)]
    assert folder.records[1].label == "auk"
    assert folder.info["members_not_read"] == {"cls": 1}
    assert [(tmp_path / "out" / record.file_name).read_bytes() for record in folder.records] == data


def test_shards_written_by_webdataset(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="needs the extra shards")
    with webdataset.TarWriter(str(tmp_path / "0.tar")) as sink:
        for index in range(3):
            sink.write({"__key__": f"{index:04d}", "jpg": pictures(1)[0], "txt": f"caption {index}"})
    assert import_shards(tmp_path / "0.tar", tmp_path / "out") == {"train": 3}


@pytest.mark.parametrize(("members", "word"), [
    ([("1.txt", b"one")], "sample 1: there is no picture"),
    ([("1.jpg", b"x")], "'text' is missing"),
    ([("1.jpg", b"x"), ("1.txt", b"\xff")], "utf-8"),
    ([("1.jpg", b"x"), ("1.json", b"{")], "sample 1: Expecting"),
    ([("1.jpg", b"x"), ("1.json", b"[]")], "not an object"),
])
def test_samples_that_cannot_be_read_say_why(tmp_path, members, word):
    write_tar(tmp_path / "0.tar", members)
    with pytest.raises(LimnerError, match=word):
        import_shards(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shards_cut_short_and_foreign_files(tmp_path):
    write_tar(tmp_path / "0.tar", [("1.jpg", pictures(1)[0]), ("1.txt", b"one"), ("2.jpg", b"x" * 5000)])
    (tmp_path / "0.tar").write_bytes((tmp_path / "0.tar").read_bytes()[:4000])
    with pytest.raises(LimnerError, match="damaged or cut short"):
        import_shards(tmp_path, tmp_path / "out")
    (tmp_path / "0.tar").write_bytes(b"hello")
    with pytest.raises(LimnerError, match="damaged or cut short"):
        import_shards(tmp_path, tmp_path / "out")


def test_pictures_are_linked_or_copied(tmp_path):
    source = make_folder(tmp_path / "source", 2)
    records = [(record, source / record.file_name) for record in read_folder(source).records]
    write_folder(tmp_path / "linked", records, info={"name": "x"})
    assert (tmp_path / "linked/000.jpg").stat().st_ino == (source / "000.jpg").stat().st_ino
    write_folder(tmp_path / "copied", records, info={}, copy=True)
    assert (tmp_path / "copied/000.jpg").stat().st_ino != (source / "000.jpg").stat().st_ino
    assert (tmp_path / "copied/000.jpg").read_bytes() == (source / "000.jpg").read_bytes()
    assert read_folder(tmp_path / "linked", strict=True).info == {"name": "x"}


def test_the_writer_refuses_to_overwrite_to_leave_the_folder_and_to_write_nothing(tmp_path):
    source = make_folder(tmp_path / "source", 1)
    with pytest.raises(LimnerError, match="there already"):
        write_folder(source, [], info={})
    with pytest.raises(LimnerError, match="leads out"):
        write_folder(tmp_path / "out", [(Record("../a.jpg", ("a",)), source / "000.jpg")], info={})
    with pytest.raises(LimnerError, match="nothing was found"):
        write_folder(tmp_path / "out", [], info={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
