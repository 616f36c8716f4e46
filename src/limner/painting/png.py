"""The story of a picture, kept in text chunks of its PNG file.

Two chunks are written: ``limner`` holds the whole story as JSON, and ``parameters`` one line in the form that gallery
and cataloguing programs know (Automatic1111's). The reader walks over the chunks itself and never decodes pixels, so
a foreign or hostile file costs no memory.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.errors import LimnerError
from limner.files import written_atomically

STORY_FORMAT = 1
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_STORY = 16 << 20
"""Bytes of a story that is still read; a grid of a thousand paintings has less than one megabyte."""


def png_path(path: str | Path) -> Path:
    """The path of a PNG to write. Raises LimnerError for another ending, which could not keep the story."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise LimnerError(f"paintings are written as PNG, which keeps their story; got the name {path.name!r}. "
                          "End the name in .png (for another format convert the PNG afterwards).")
    return path


def write_png(path: Path, image: Image.Image, story: dict[str, Any], parameters: str) -> None:
    """Writes a PNG with its story. Raises LimnerError if the name is no PNG's or the place cannot be written to."""
    info = PngInfo()
    info.add_text("limner", json.dumps(story))
    info.add_text("parameters", parameters)
    content = io.BytesIO()
    image.save(content, "PNG", pnginfo=info, optimize=True)
    write_content(png_path(path), content.getvalue())


def write_content(path: Path, content: bytes) -> None:
    """Writes a file at once. Raises LimnerError that names it if that cannot be done."""
    try:
        with written_atomically(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise LimnerError(f"cannot write {path}: {error.strerror or error}.") from None


def read_story(path: str | Path) -> dict[str, Any]:
    """The story in a PNG that Limner painted: see ``Painting.story`` for its fields.

    Raises LimnerError if the file is missing, is no PNG, holds no story, or a broken one.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = _story_text(file, path)
    except OSError as error:
        raise LimnerError(f"cannot read {path}: {error.strerror or error}.") from None
    if text is None:
        raise LimnerError(f"{path} carries no story of Limner: it was not painted by it, or a program that does not "
                          "keep PNG text chunks has saved it again.")
    try:
        story = json.loads(text)
    except (ValueError, RecursionError):
        raise LimnerError(f"the story in {path} is damaged (not JSON).") from None
    _check(story, path)
    return story


def _story_text(file: BinaryIO, path: Path) -> str | None:
    if file.read(8) != _SIGNATURE:
        raise LimnerError(f"{path} is not a PNG file.")
    for kind, length in _chunks(file):
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        if length > _LONGEST_STORY:
            continue
        data = file.read(length)
        keyword, _, rest = data.partition(b"\0")
        if keyword != b"limner" or len(data) < length:
            continue
        try:
            return _decode(kind, rest)
        except (zlib.error, UnicodeDecodeError, IndexError):
            raise LimnerError(f"the story in {path} is damaged (unreadable text chunk).") from None
    return None


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length of every chunk, the file standing at its data; ends quietly where the file is cut off."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        after = file.tell() + length + 4
        yield kind, length
        if kind == b"IEND":
            return
        file.seek(after)


def _decode(kind: bytes, rest: bytes) -> str:
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"zTXt":
        return _inflate(rest[1:]).decode("latin-1")
    compressed = rest[0] == 1
    _language, _, rest = rest[2:].partition(b"\0")
    _translated, _, rest = rest.partition(b"\0")
    return (_inflate(rest) if compressed else rest).decode("utf-8")


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, _LONGEST_STORY)


_FIELDS: dict[str, type] = {"caption": str, "seed": int, "index": int, "model": dict, "inputs": dict,
                            "settings": dict, "size": list, "warnings": list, "pixels": str}


def _check(story: Any, path: Path) -> None:
    if not isinstance(story, dict) or not isinstance(story.get("format"), int):
        raise LimnerError(f"the story in {path} is damaged (no object with a format number).")
    if story["format"] != STORY_FORMAT:
        raise LimnerError(f"the story in {path} has format {story['format']}; this version of Limner reads "
                          f"{STORY_FORMAT}. Update Limner.")
    paintings = [story]
    if "paintings" in story:
        paintings = story["paintings"]
        grid = story.get("grid")
        columns = grid.get("columns") if isinstance(grid, dict) else None
        if not isinstance(paintings, list) or not isinstance(columns, int) or not 1 <= columns <= len(paintings):
            raise LimnerError(f"the story in {path} is damaged (it does not tell how the grid is laid out).")
    for painting in paintings:
        for name, kind in _FIELDS.items():
            value = painting.get(name) if isinstance(painting, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                raise LimnerError(f"the story in {path} is damaged (the field {name!r} is missing or not a "
                                  f"{kind.__name__}).")
