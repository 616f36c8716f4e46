import json
from pathlib import Path

from limner.training.log import RunLog, cut_log, read_log


def test_lines_come_back_and_not_a_number_is_null(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.append({"stage": "gan", "images": 1, "losses": {"d": float("nan"), "g": 0.1}})
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {
        "stage": "gan", "images": 1, "losses": {"d": None, "g": 0.1}}


def test_later_lines_and_an_unfinished_one_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = RunLog(path)
    for images in (1, 2, 3):
        log.append({"images": images, "note": "\u00e9"})
    before = path.read_text(encoding="utf-8").splitlines(keepends=True)
    with path.open("a") as file:
        file.write('{"images": 4, "no')
    assert [line["images"] for line in read_log(path)] == [1, 2, 3]
    cut_log(path, lambda line: line["images"] < 3)
    assert path.read_text(encoding="utf-8") == "".join(before[:2])
