"""WebDataset shards (tar files of pictures and captions), into our folder format. Plain ``tarfile`` reads them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.cache import Progress
from limner.data.record import Record
from limner.data.writing import write_folder
from limner.errors import LimnerError

_PICTURES = ("jpg", "jpeg", "png", "webp")
_TEXTS = ("txt", "caption")
_LARGEST = 1 << 28
"""Largest member that is read, in bytes."""


def import_shards(source: Path, out: Path, *, info: dict[str, Any] | None = None,
                  progress: Progress | None = None) -> dict[str, int]:
    """Reads a tar file or a folder of them and writes a folder; returns the number of pictures by split.

    The members of a sample share the name up to the first dot: a picture (jpg, jpeg, png, webp; written as it is),
    and a txt (captions, one a line) or a json (an object with our fields; ``text`` or ``caption`` holds the captions).
    The split is the json's ``split``, else train. Members of other kinds are counted in dataset.json.

    Raises LimnerError for a shard that is cut short and for a sample without a picture or a caption.
    """
    source = Path(source)
    shards = sorted(source.rglob("*.tar")) if source.is_dir() else [source]
    if not shards or not shards[0].is_file():
        raise LimnerError(f"there is no tar file at {source}.")
    described: dict[str, Any] = info or {"name": source.stem}
    others: dict[str, int] = {}
    described["members_not_read"] = others
    try:
        return write_folder(out, _samples(shards, others), info=described, progress=progress)
    except (tarfile.TarError, EOFError) as error:
        raise LimnerError(f"{source} holds a tar file that is damaged or cut short ({error}).") from None


def _samples(shards: list[Path], others: dict[str, int]) -> Iterator[tuple[Record, bytes]]:
    number = 0
    for shard in shards:
        key = ""
        members: dict[str, bytes] = {}
        with tarfile.open(shard, "r:*") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                path = PurePosixPath(member.name)
                stem, _, kind = path.name.partition(".")
                kind = kind.lower()
                if kind not in (*_PICTURES, *_TEXTS, "json"):
                    others[kind] = others.get(kind, 0) + 1
                    continue
                if member.size > _LARGEST:
                    raise LimnerError(f"{shard}: {member.name} has {member.size} bytes; at most {_LARGEST} are read.")
                sample = f"{path.parent}/{stem}"
                if members and sample != key:
                    yield _entry(shard, key, members, number)
                    number, members = number + 1, {}
                key = sample
                file = archive.extractfile(member)
                assert file is not None  # it is a plain file
                members[kind] = file.read()
        if members:
            yield _entry(shard, key, members, number)
            number += 1


def _entry(shard: Path, key: str, members: dict[str, bytes], number: int) -> tuple[Record, bytes]:
    where = f"{shard}, sample {key.removeprefix('./')}"
    kind = next((kind for kind in _PICTURES if kind in members), None)
    if kind is None:
        raise LimnerError(f"{where}: there is no picture; expected one of {', '.join(_PICTURES)}.")
    try:
        line = json.loads(members["json"]) if "json" in members else {}
        if not isinstance(line, dict):
            raise LimnerError("its json member is not an object.")
        text = next((members[kind].decode("utf-8") for kind in _TEXTS if kind in members), None)
        if text is not None:
            line["text"] = [part.strip() for part in text.splitlines() if part.strip()]
        elif "text" not in line and "caption" in line:
            line["text"] = line["caption"]
        line["file_name"] = f"images/{number:07d}.{kind}"
        return Record.from_json(line), members[kind]
    except (LimnerError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LimnerError(f"{where}: {error}") from None
