"""Parquet files in the layout of Hugging Face data sets, into our folder format (needs the extra ``tables``)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.cache import Progress
from limner.data.folder import PICTURE_SUFFIXES, escapes
from limner.data.record import SPLITS, Record
from limner.data.writing import write_folder
from limner.errors import LimnerError

_TEXT_COLUMNS = ("text", "caption", "captions", "prompt")
_SPLIT_NAMES = {"validation": "val", "valid": "val", "dev": "val"}
_EXTRA_FIELDS = ("label", "bbox", "keypoints", "objects", "attributes")
_ROWS = 256


def import_tables(source: Path, out: Path, *, text_column: str = "", image_column: str = "image",
                  info: dict[str, Any] | None = None, progress: Progress | None = None) -> dict[str, int]:
    """Reads a Parquet file or a folder of them and writes a folder; returns the number of pictures by split.

    ``image_column`` holds bytes, or a struct with ``bytes`` (and ``path``); the bytes are written as they are.
    ``text_column`` holds a caption or a list; without it the first of text, caption, captions, prompt is taken.
    Columns named like our fields (label, bbox, keypoints, objects, attributes, split) come along. The split of a
    row is its ``split`` column, else the beginning of the file's name (``train-00000-of-00004.parquet``), else train.

    Raises LimnerError if the extra is not installed or a row cannot be read.
    """
    try:
        import pyarrow.parquet as parquet
        from pyarrow.lib import ArrowException
    except ImportError:
        raise LimnerError("reading Parquet files needs an extra: pip install limner[tables]") from None
    source = Path(source)
    files = sorted(source.rglob("*.parquet")) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise LimnerError(f"there is no Parquet file at {source}.")
    try:
        total = sum(parquet.ParquetFile(path).metadata.num_rows for path in files)
        rows = _rows(parquet, files, image_column, text_column)
        return write_folder(out, rows, info=info or {"name": source.stem}, total=total, progress=progress)
    except ArrowException as error:
        raise LimnerError(f"{source} cannot be read as Parquet ({error}).") from None


def _rows(parquet: Any, files: Sequence[Path], image_column: str, text_column: str) -> Iterator[tuple[Record, bytes]]:
    number = 0
    for path in files:
        table = parquet.ParquetFile(path)
        columns = table.schema_arrow.names
        text = _text_column(path, columns, text_column)
        label_names = _label_names(table.schema_arrow.metadata) if "label" in columns else []
        if image_column not in columns:
            raise LimnerError(f"{path} has no column {image_column!r}; its columns are {', '.join(columns)}.")
        for batch in table.iter_batches(batch_size=_ROWS, columns=[
                name for name in columns if name in (image_column, text, "split", *_EXTRA_FIELDS)]):
            for row in batch.to_pylist():
                if label_names and isinstance(row["label"], int) and 0 <= row["label"] < len(label_names):
                    row["label"] = label_names[row["label"]]
                yield _entry(row, number, f"{path}, row {number}", image_column, text, _split_of_file(path))
                number += 1


def _text_column(path: Path, columns: Sequence[str], asked: str) -> str:
    found = next((name for name in ((asked,) if asked else _TEXT_COLUMNS) if name in columns), None)
    if found is None:
        raise LimnerError(f"{path} has no column {asked or ' or '.join(_TEXT_COLUMNS)!r} with captions; its columns "
                          f"are {', '.join(columns)}. Name one of them with text_column.")
    return found


def _label_names(metadata: dict[bytes, bytes] | None) -> list[str]:
    """The names of a ClassLabel column, which the ``datasets`` library keeps in the schema; empty if there are none."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features["label"]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _split_of_file(path: Path) -> str:
    name = re.split(r"[-_.]", path.name)[0]
    name = _SPLIT_NAMES.get(name, name)
    return name if name in SPLITS else "train"


def _entry(row: dict[str, Any], number: int, where: str, image_column: str, text_column: str,
           split: str) -> tuple[Record, bytes]:
    image = row[image_column]
    data, path = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
    if not isinstance(data, bytes) or not data:
        raise LimnerError(f"{where}: the column {image_column!r} holds no picture bytes"
                          f"{f' (only the path {path})' if path else ''}. Only embedded pictures are read.")
    name = PurePosixPath(path or "").name
    if not name or escapes(name) or PurePosixPath(name).suffix.lower() not in PICTURE_SUFFIXES:
        name = f"picture{suffix_of(data)}"
    line = {field: row[field] for field in _EXTRA_FIELDS if row.get(field) is not None}
    if isinstance(line.get("attributes"), dict):  # a struct column carries every name in every row
        line["attributes"] = {key: value for key, value in line["attributes"].items() if value is not None}
    asked = str(row.get("split") or split)
    line |= {"file_name": f"images/{number:07d}-{name}", "text": row[text_column],
             "split": _SPLIT_NAMES.get(asked, asked)}
    try:
        return Record.from_json(line), data
    except LimnerError as error:
        raise LimnerError(f"{where}: {error}") from None


def suffix_of(data: bytes) -> str:
    """The usual suffix of a picture file, by its first bytes."""
    if data[:3] == b"\xff\xd8\xff":
        return ".jpg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return ".png"
