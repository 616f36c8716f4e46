import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.pictures_on_disk import make_folder, smooth_picture, write_lines

from limner.data.check import check_folder
from limner.data.folder import escapes, picture_files, read_folder
from limner.errors import LimnerError


def line(**fields):
    return {"file_name": "000.jpg", "text": "a bird"} | fields


def only_problem(root):
    folder = read_folder(root)
    assert len(folder.problems) == 1, folder.problems
    return folder.problems[0]


def test_all_fields_are_read(tmp_path):
    make_folder(tmp_path, 2)
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "n", "keypoint_names": ["left eye", "tail"]}))
    full = line(text=["a", "b"], label="wren", bbox=[1, 2, 3, 4], keypoints=[[1, 2, 1], [0, 0, 0]], split="val",
                objects=[{"bbox": [0, 0, 5, 5], "category": "cup"}], attributes={"wing": "red"}, other_tool=7)
    write_lines(tmp_path, [full, "", line(file_name="001.jpg")])
    folder = read_folder(tmp_path)
    assert folder.source == "metadata.jsonl"
    assert not folder.problems
    assert folder.info["name"] == "n"
    first, second = folder.records
    assert first.captions == ("a", "b")
    assert first.label == "wren"
    assert first.bbox == (1, 2, 3, 4)
    assert first.keypoints == ((1, 2, 1), (0, 0, 0))
    assert first.split == "val"
    assert first.attributes == {"wing": "red"}
    assert first.objects == ({"bbox": [0, 0, 5, 5], "category": "cup"},)
    assert second.captions == ("a bird",)
    assert second.split == "train"


@pytest.mark.parametrize(("bad", "word"), [
    ('{"file_name": "000.jpg", "text": "a', "not a JSON object"),
    ("[" * 5000, "not a JSON object"),
    ("[1]", "must be a JSON object"),
    ({"file_name": "000.jpg"}, "'text' is missing"),
    ({"text": "a bird"}, "'file_name' is missing"),
    (line(text=""), "none of them empty"),
    (line(text=["a", "  "]), "none of them empty"),
    (line(text=[]), "none of them empty"),
    (line(text=5), "none of them empty"),
    (line(file_name=5), "path of a picture"),
    (line(split="validation"), "split must be one of"),
    (line(bbox=[1, 2, 0, 4]), "positive width"),
    (line(bbox=[1, 2, float("nan"), 4]), "positive width"),
    (line(bbox="1 2 3 4"), "four numbers"),
    (line(keypoints=[[1, 2]]), "[x, y, visible]"),
    (line(keypoints=[[1, 2, 3]]), "visible 0 or 1"),
    (line(keypoints=[[1, float("inf"), 1]]), "finite"),
    (line(label=1.5), "label must be"),
    (line(label=True), "label must be"),
    (line(objects=[{"category": "cup"}]), "with bbox"),
    (line(objects=[{"bbox": [0, 0, -1, 2]}]), "with bbox"),
    (line(attributes={"wing": 3}), "attributes must be"),
    (line(file_name="gone.jpg"), "there is no picture"),
    (line(objects=[{"bbox": [0, 0, float("nan"), 2]}]), "with bbox"),
    (line(objects=5), "wrong kind"),
    (line(bbox=[1, 2, 10**400, 4]), "wrong kind"),
    (line(keypoints=[[10**10, 1, 1]]), "finite"),
    (line(text="half a \ud83d bird"), "half a character"),
    ('{"file_name": "000.jpg", "text": ' + "9" * 5000 + "}", "not a JSON object"),
    (line(file_name="."), "there is no picture"),
    (line(file_name="a\0.jpg"), "leads out"),
    (line(file_name="../000.jpg"), "leads out"),
    (line(file_name="x/../../000.jpg"), "leads out"),
    (line(file_name="/etc/hostname"), "leads out"),
    (line(file_name="C:\\000.jpg"), "leads out"),
])
def test_a_bad_line_is_listed_with_its_number_and_left_out(tmp_path, bad, word):
    make_folder(tmp_path, 2)
    write_lines(tmp_path, [line(file_name="001.jpg"), bad])
    problem = only_problem(tmp_path)
    assert (problem.file, problem.line) == ("metadata.jsonl", 2)
    assert word in problem.what
    assert problem.remedy
    assert [record.file_name for record in read_folder(tmp_path).records] == ["001.jpg"]
    with pytest.raises(LimnerError, match=r"metadata\.jsonl, line 2"):
        read_folder(tmp_path, strict=True)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=8)
FIELDS = ("file_name", "text", "label", "bbox", "keypoints", "objects", "attributes", "split")


@settings(max_examples=300, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_whatever_a_line_holds_is_read_or_listed(tmp_path_factory, fields):
    root = tmp_path_factory.getbasetemp() / "any_line"
    if not root.exists():
        make_folder(root, 1)
    write_lines(root, [line(**fields)])
    folder = read_folder(root)
    assert len(folder.records) + len(folder.problems) == 1
    check_folder(root)


def test_a_picture_named_twice_is_a_problem(tmp_path):
    make_folder(tmp_path, 1)
    write_lines(tmp_path, [line(), line(text="again")])
    assert "already on line 1" in only_problem(tmp_path).what


def test_keypoints_must_agree_with_their_names(tmp_path):
    make_folder(tmp_path, 1, keypoints=lambda index: [[1, 1, 1]])
    (tmp_path / "dataset.json").write_text(json.dumps({"keypoint_names": ["beak", "tail"]}))
    assert "dataset.json names 2" in only_problem(tmp_path).what


def test_zero_byte_pictures_and_lines_that_are_not_utf8_are_problems(tmp_path):
    make_folder(tmp_path, 2)
    (tmp_path / "001.jpg").write_bytes(b"")
    assert "empty (0 bytes)" in only_problem(tmp_path).what
    with (tmp_path / "metadata.jsonl").open("ab") as file:
        file.write(b'{"file_name": "\xff.jpg", "text": "a"}\n')
    assert [problem.line for problem in read_folder(tmp_path).problems] == [None, 3]


def test_odd_captions_are_kept_as_they_are(tmp_path):
    make_folder(tmp_path, 1)
    captions = ["\U0001f426 bird", "a" * 100_000, "bell \x07 and tab\t", " [brackets"]
    write_lines(tmp_path, [line(text=captions)])
    assert read_folder(tmp_path, strict=True).records[0].captions == tuple(captions)


def test_csv_has_the_same_columns(tmp_path):
    make_folder(tmp_path, 4)
    (tmp_path / "metadata.jsonl").unlink()
    (tmp_path / "metadata.csv").write_text(
        "file_name,text,label,bbox,split\n"
        '000.jpg,"a red, small bird",wren,"[1, 2, 3, 4]",test\n'
        '001.jpg,"[""one"", ""two""]",,,\n'
        "002.jpg,[not a list,,,\n"
        "003.jpg,a bird,,oops,\n"
        "004.jpg,too,few\n")
    folder = read_folder(tmp_path)
    assert [record.captions for record in folder.records] == [
        ("a red, small bird",), ("one", "two"), ("[not a list",)]
    assert folder.records[0].bbox == (1, 2, 3, 4)
    assert folder.records[0].split == "test"
    assert folder.records[1].label is None
    assert folder.records[1].split == "train"
    assert [(problem.file, problem.line) for problem in folder.problems] == [("metadata.csv", 5), ("metadata.csv", 6)]


def test_csv_without_a_needed_column_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("file,text\na.jpg,a\n")
    with pytest.raises(LimnerError, match="no column 'file_name'"):
        read_folder(tmp_path)


def test_side_files_give_a_caption_a_line(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("a.jpg", "inner/b.png", "c.png", "d.png"):
        smooth_picture(0).save(tmp_path / name)
    (tmp_path / "a.txt").write_text("one\n\n two \n")
    (tmp_path / "inner/b.txt").write_text("three")
    (tmp_path / "d.txt").write_text("\n")
    folder = read_folder(tmp_path)
    assert folder.source == "side files"
    assert {record.file_name: record.captions for record in folder.records} == {
        "a.jpg": ("one", "two"), "inner/b.png": ("three",)}
    assert [(problem.file, problem.line) for problem in folder.problems] == [("c.png", None), ("d.txt", None)]


def test_a_folder_that_is_none_says_what_to_do(tmp_path):
    with pytest.raises(LimnerError, match="there is no folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(LimnerError, match=r"has no captions.*metadata\.jsonl"):
        read_folder(tmp_path)
    make_folder(tmp_path / "train", 1)
    with pytest.raises(LimnerError, match=r"but train/metadata\.jsonl"):
        read_folder(tmp_path)
    make_folder(tmp_path, 1)
    (tmp_path / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(LimnerError, match="keep one"):
        read_folder(tmp_path)


def test_dataset_json_must_be_an_object_with_named_points(tmp_path):
    make_folder(tmp_path, 1)
    for content in ("[", "[]", '{"keypoint_names": "beak"}'):
        (tmp_path / "dataset.json").write_text(content)
        with pytest.raises(LimnerError, match=r"dataset\.json"):
            read_folder(tmp_path)


def test_hidden_files_are_no_pictures(tmp_path):
    make_folder(tmp_path, 1)
    (tmp_path / ".limner-cache").mkdir()
    smooth_picture(0).save(tmp_path / ".limner-cache/x.png")
    assert list(picture_files(tmp_path)) == ["000.jpg"]


def test_escapes():
    assert not escapes("a/b.jpg")
    assert not escapes("a..b.jpg")
    assert all(map(escapes, ("/a.jpg", "..", "a/../../b", "a\\b.jpg", "c:/a.jpg")))
