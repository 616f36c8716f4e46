import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.data.pictures_on_disk import encoded, make_folder, smooth_picture, write_lines

from limner.data.check import check_folder, render
from limner.data.contact_sheet import contact_sheet, save_contact_sheet
from limner.errors import LimnerError


def faulty_folder(root):
    make_folder(root, 8)
    data = (root / "001.jpg").read_bytes()
    (root / "002.jpg").write_bytes(data)  # equal to 001
    (root / "003.jpg").unlink()
    smooth_picture(1).save(root / "003.png")  # looks like 001, other bytes
    (root / "004.jpg").write_bytes(encoded(smooth_picture(4, 300, 300))[:2000])  # cut short
    (root / "005.jpg").write_bytes(b"")
    (root / "006.jpg").unlink()
    smooth_picture(50).save(root / "spare.webp")
    write_lines(root, [
        {"file_name": "000.jpg", "text": ["a RED bird", "caf\u00e9 \U0001f426"], "label": "x"},
        {"file_name": "001.jpg", "text": "two \x07 words", "bbox": [10, 10, 31, 5]},
        {"file_name": "002.jpg", "text": "word " * 300, "bbox": [0, 0, 40, 30], "split": "test"},
        {"file_name": "003.png", "text": "...", "keypoints": [[50, 5, 1], [50, 5, 0]]},
        {"file_name": "004.jpg", "text": "cut"},
        {"file_name": "005.jpg", "text": "empty"},
        {"file_name": "006.jpg", "text": "gone"},
        "{",
        {"file_name": "007.jpg", "text": "fine"},
    ])
    return root


def test_every_fault_is_found_and_counted(tmp_path):
    report = check_folder(faulty_folder(tmp_path))
    assert report.pictures == {"train": 4, "test": 1}
    assert not report.usable
    faults = {(problem.file, problem.line): problem.what for problem in report.broken}
    assert set(faults) == {("004.jpg", None), ("005.jpg", None), ("metadata.jsonl", 7), ("metadata.jsonl", 8)}
    assert "cannot be decoded" in faults["004.jpg", None]
    assert report.unlisted == ("spare.webp",)
    assert report.boxes_outside == ("003.png",)  # 41 of 40 pixels is within the pixel that is forgiven
    assert report.duplicates == (("001.jpg", "002.jpg"),)
    assert report.near_duplicates == (("001.jpg", "002.jpg", "003.png"),)
    captions = report.captions
    assert (captions["count"], captions["huge"], captions["without_words"]) == (6, 1, 1)
    assert captions["with_control_characters"] == 1
    assert captions["words"] == {"min": 0, "mean": pytest.approx((3 + 1 + 2 + 300 + 0 + 1) / 6, abs=0.01), "max": 300}
    assert captions["vocabulary"] == len({"a", "red", "bird", "caf\u00e9", "two", "words", "word", "fine"})
    assert report.unknown_characters == {"\u00e9": 1, "\U0001f426": 1, "\x07": 1}
    warnings = " ".join(report.warnings)
    for part in ("1 groups of equal pictures lie in several splits", "1 of 5 pictures have a label",
                 "Only 1 pictures are held out"):
        assert part in warnings


def test_the_report_is_json_and_can_be_shown(tmp_path):
    report = check_folder(faulty_folder(tmp_path))
    content = json.loads(json.dumps(report.to_json()))
    assert content["usable"] is False
    assert content["broken"][0].keys() == {"file", "line", "what", "remedy"}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(report))
    shown = console.export_text()
    for part in ("Not ready for training", "broken (4)", "spare.webp", "metadata.jsonl, line 8"):
        assert part in shown


def test_a_good_folder_is_ready(tmp_path):
    make_folder(tmp_path, 120, kind="png", split=lambda index: "val" if index % 2 else "train",
                label=lambda index: f"[c{index % 3}]", bbox=lambda index: [0, 0, 40, 30])
    told = []
    report = check_folder(tmp_path, progress=lambda *what: told.append(what))
    assert report.usable
    assert not report.warnings
    assert not report.near_duplicates
    assert report.classes["train"] == {"[c0]": 20, "[c1]": 20, "[c2]": 20}
    assert report.sizes["width"] == {"min": 40, "mean": 40, "max": 40}
    assert told[-1] == ("Checking pictures", 120, 120)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(report))
    assert "Ready for training" in console.export_text()


def test_uneven_and_single_classes_are_warned_of(tmp_path):
    make_folder(tmp_path, 30, label=lambda index: "rare" if index == 0 else "common")
    warnings = " ".join(check_folder(tmp_path).warnings)
    assert "common has 29 training pictures, rare has 1" in warnings
    assert "1 classes have a single training picture" in warnings
    assert "No picture is held out" in warnings
    make_folder(tmp_path, 3, label=lambda index: "one", split=lambda index: "train")
    assert "have one label" in " ".join(check_folder(tmp_path).warnings)


def test_plain_pictures_are_not_all_alike(tmp_path):
    make_folder(tmp_path, 3, kind="png")
    for index in range(3):
        Image.new("RGB", (20, 20), (40 * index, 0, 0)).save(tmp_path / f"{index:03d}.png")
    assert check_folder(tmp_path).near_duplicates == ()


def test_the_contact_sheet_shows_boxes_and_points(tmp_path):
    make_folder(tmp_path / "data", 1, kind="png", bbox=lambda index: [10, 10, 20, 15],
                keypoints=lambda index: [[5, 5, 1], [35, 5, 0]],
                objects=lambda index: [{"bbox": [2, 20, 6, 6]}])
    Image.new("RGB", (40, 40), (0, 0, 0)).save(tmp_path / "data/000.png")
    sheet = np.asarray(contact_sheet(tmp_path / "data", cell=160))
    picture = sheet[8:168, 8:168]
    assert picture[60, 40].tolist() == [230, 60, 40]  # left edge of the box, four times as large
    assert picture[92, 8].tolist() == [40, 120, 220]
    assert picture[20, 20].tolist() == [250, 220, 60]
    assert picture[20, 140].tolist() == [0, 0, 0]  # the invisible point
    assert (sheet[170:] < 100).any()  # the caption
    save_contact_sheet(tmp_path / "data", tmp_path / "sheet.png", cell=80)
    assert Image.open(tmp_path / "sheet.png").format == "PNG"


def test_the_contact_sheet_survives_broken_pictures_and_odd_captions(tmp_path):
    faulty_folder(tmp_path)
    assert contact_sheet(tmp_path, columns=3, rows=9).size == contact_sheet(tmp_path, columns=3, rows=2).size
    write_lines(tmp_path, [])
    with pytest.raises(LimnerError, match="no picture to show"):
        contact_sheet(tmp_path)
