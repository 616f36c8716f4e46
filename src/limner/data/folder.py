"""Our format on disk: a folder of pictures with ``metadata.jsonl`` (the *imagefolder* convention), CSV or side files.

Reading never stops at a fault: every fault becomes a ``Problem`` with its place, what is wrong and what to do, and
the record it belongs to is left out. Who needs a faultless folder asks for ``strict=True``.
"""

from __future__ import annotations

import csv
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.record import Record
from limner.errors import LimnerError
from limner.files import read_json

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_STRUCTURED = ("bbox", "keypoints", "objects", "attributes")


@dataclass(frozen=True)
class Problem:
    """One fault of a folder."""

    file: str
    """Path of the faulty file, relative to the folder."""
    line: int | None
    """Its line, counted from 1; None where a line means nothing."""
    what: str
    remedy: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.what} {self.remedy}"


@dataclass(frozen=True)
class Folder:
    """What a folder holds."""

    root: Path
    source: str
    """Where the captions stand: ``metadata.jsonl``, ``metadata.csv`` or ``side files``."""
    records: tuple[Record, ...]
    info: dict[str, Any]
    """dataset.json: name, description, licence, credit, keypoint_names ...; empty if there is none."""
    problems: tuple[Problem, ...]


def read_folder(path: str | Path, *, strict: bool = False) -> Folder:
    """Reads the records of a folder; no picture is decoded, but each must be there and have bytes.

    Raises LimnerError if there is no such folder or nothing in it that says which caption belongs to which picture,
    and with ``strict`` at the first problem.
    """
    root = Path(path)
    if not root.is_dir():
        raise LimnerError(f"there is no folder {root}. Give the folder that holds the pictures and metadata.jsonl.")
    problems: list[Problem] = []
    info = _read_info(root)
    source, lines = _open_source(root, problems)
    records: list[Record] = []
    seen: dict[str, int | None] = {}
    names = info.get("keypoint_names")
    for line, value in lines:
        found = _read_record(root, source, line, value, names, seen, problems)
        if found is not None:
            seen[found.file_name] = line
            records.append(found)
    if strict and problems:
        more = f" ({len(problems) - 1} more: limner data check {root})" if len(problems) > 1 else ""
        raise LimnerError(f"{root}: {problems[0]}{more}")
    return Folder(root, source, tuple(records), info, tuple(problems))


def picture_files(root: Path) -> Iterator[str]:
    """Relative paths (forward slashes) of all picture files below a folder, sorted; hidden folders are passed over."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in PICTURE_SUFFIXES and not hidden and path.is_file():
            yield relative.as_posix()


def escapes(file_name: str) -> bool:
    """Whether a relative path would leave its folder (absolute, ``..``, a drive letter or backslashes)."""
    path = PurePosixPath(file_name)
    drive = ":" in file_name.partition("/")[0]
    return path.is_absolute() or ".." in path.parts or drive or "\\" in file_name or "\0" in file_name


def _read_info(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    if not path.exists():
        return {}
    info = read_json(path)
    if not isinstance(info, dict):
        raise LimnerError(f"{path} must hold a JSON object with name, licence and the like.")
    names = info.get("keypoint_names")
    if names is not None and (not isinstance(names, list) or not all(isinstance(name, str) for name in names)):
        raise LimnerError(f"keypoint_names in {path} must be a list of names, got {names!r}.")
    return info


def _open_source(root: Path, problems: list[Problem]) -> tuple[str, Iterator[tuple[int | None, Any]]]:
    tables = [name for name in ("metadata.jsonl", "metadata.csv") if (root / name).is_file()]
    if len(tables) == 2:
        raise LimnerError(f"{root} has both metadata.jsonl and metadata.csv; keep one of them.")
    if tables == ["metadata.jsonl"]:
        return tables[0], _read_jsonl(root / tables[0], problems)
    if tables == ["metadata.csv"]:
        return tables[0], _read_csv(root / tables[0], problems)
    inner = sorted(path.relative_to(root).as_posix() for path in root.glob("*/metadata.*"))
    if inner:
        raise LimnerError(f"{root} has no metadata.jsonl of its own, but {inner[0]}. Give that folder, or join the "
                          'files into one metadata.jsonl whose lines name the subfolder and the "split".')
    pictures = list(picture_files(root))
    if not any((root / name).with_suffix(".txt").is_file() for name in pictures):
        raise LimnerError(
            f"{root} has no captions: no metadata.jsonl, no metadata.csv and no picture with a text file of the same "
            f"name beside it ({len(pictures)} pictures found). Write one line per picture into metadata.jsonl: "
            '{"file_name": "a.jpg", "text": "a small red bird"}')
    return "side files", _read_side_files(root, pictures, problems)


def _read_jsonl(path: Path, problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                problems.append(Problem(path.name, number, f"not UTF-8 text ({error.reason} at byte {error.start}).",
                                        "Save the file as UTF-8."))
                continue
            if not text:
                continue
            try:
                yield number, json.loads(text)
            except (ValueError, RecursionError) as error:
                problems.append(Problem(path.name, number, f"not a JSON object ({error}).",
                                        'Write {"file_name": ..., "text": ...} on one line.'))


def _read_csv(path: Path, problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in ("file_name", "text") if name not in (rows.fieldnames or ())]
            if missing:
                raise LimnerError(f"{path} has no column {missing[0]!r}; its columns are "
                                  f"{', '.join(rows.fieldnames or ())}. The first line names the columns.")
            for row in rows:
                try:
                    if None in row or None in row.values():
                        raise LimnerError("the row has more or fewer cells than there are columns.")
                    yield rows.line_num, _csv_record(row)
                except LimnerError as error:
                    problems.append(Problem(path.name, rows.line_num, str(error), "Mend the cell; text with commas "
                                            "stands in double quotes, structured columns hold JSON."))
    except (UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(path.name, None, f"cannot be read ({error}).", "Save it as CSV in UTF-8."))


def _csv_record(row: dict[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {name: value for name, value in row.items() if value != ""}
    for name in _STRUCTURED:
        if name in record:
            try:
                record[name] = json.loads(record[name])
            except (ValueError, RecursionError) as error:
                raise LimnerError(f"the column {name} is not JSON ({error}).") from None
    text = record.get("text", "")
    if text.startswith("["):
        try:
            captions = json.loads(text)
        except (ValueError, RecursionError):
            captions = text  # a caption may begin with a bracket
        record["text"] = captions
    return record


def _read_side_files(root: Path, pictures: list[str], problems: list[Problem]) -> Iterator[tuple[None, Any]]:
    for name in pictures:
        side = (root / name).with_suffix(".txt")
        if not side.is_file():
            problems.append(Problem(name, None, "the picture has no caption file.", f"Write {side.name} beside it, "
                                    "one caption a line, or take the picture out of the folder."))
            continue
        try:
            captions = [line.strip() for line in side.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            problems.append(Problem(side.relative_to(root).as_posix(), None, f"not UTF-8 text ({error.reason}).",
                                    "Save the file as UTF-8."))
            continue
        yield None, {"file_name": name, "text": captions}


def _read_record(root: Path, source: str, line: int | None, value: Any, keypoint_names: list[str] | None,
                 seen: dict[str, int | None], problems: list[Problem]) -> Record | None:
    file = source
    if line is None:
        file = PurePosixPath(value["file_name"]).with_suffix(".txt").as_posix()

    def fault(what: str, remedy: str, place: str = file, at: int | None = line) -> None:
        problems.append(Problem(place, at, what, remedy))

    try:
        record = Record.from_json(value)
        _check_structure(record, keypoint_names)
    except (TypeError, OverflowError) as error:
        fault(f"a field holds a value of the wrong kind ({error}).", "Mend the line, or take it out.")
        return None
    except LimnerError as error:
        fault(str(error), "Mend the line, or take it out." if line is not None else "Write one caption a line.")
        return None
    if escapes(record.file_name):
        fault(f"file_name {record.file_name!r} leads out of the folder.",
              "Give the path of a picture inside the folder, relative to it, with forward slashes.")
        return None
    if record.file_name in seen:
        fault(f"{record.file_name} stands already on line {seen[record.file_name]}.",
              "Give a picture one line and all its captions as a list.")
        return None
    try:
        status = (root / record.file_name).stat()
    except (OSError, ValueError):
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        fault(f"there is no picture {record.file_name}.", "Put the file there, or take the line out.")
        return None
    if status.st_size == 0:
        fault("the picture file is empty (0 bytes).", "Replace it, or take it out.", record.file_name, None)
        return None
    return record


def _is_place(value: Any) -> bool:
    """Whether a value can be a number of pixels: finite, and not true or false."""
    return type(value) in (int, float) and abs(value) < 1e9


def _check_structure(record: Record, keypoint_names: list[str] | None) -> None:
    """The structured fields beyond what Record itself checks."""
    if any(map(_HALF_CHARACTER.search, record.captions)):
        raise LimnerError("a caption holds half a character (a lone surrogate such as \\ud83d).")
    if isinstance(record.label, bool) or not isinstance(record.label, (str, int, type(None))):
        raise LimnerError(f"label must be a name or a whole number, got {record.label!r}.")
    if record.keypoints is not None and keypoint_names is not None and len(record.keypoints) != len(keypoint_names):
        raise LimnerError(f"there are {len(record.keypoints)} keypoints, but dataset.json names {len(keypoint_names)}.")
    for point in record.keypoints or ():
        if point[2] not in (0.0, 1.0) or not all(map(_is_place, point)):
            raise LimnerError(f"a key point must be [x, y, visible] with finite x and y and visible 0 or 1, "
                              f"got {list(point)}.")
    for item in record.objects or ():
        box = item.get("bbox") if isinstance(item, dict) else None
        numeric = isinstance(box, list) and len(box) == 4 and all(map(_is_place, box))
        if not numeric or box is None or box[2] <= 0 or box[3] <= 0:
            raise LimnerError("each of objects must be an object with bbox: x, y, width, height (positive).")
    attributes = record.attributes
    if attributes is not None and (not isinstance(attributes, dict) or not all(
            isinstance(item, str) for item in attributes.values())):
        raise LimnerError(f"attributes must be an object of names with one text value each, got {attributes!r}.")
