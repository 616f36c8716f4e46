"""Writes pictures that exist already as a folder in our format; they are linked or copied, never re-encoded."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from limner.data.cache import Progress
from limner.data.folder import escapes
from limner.data.record import Record
from limner.errors import LimnerError
from limner.files import write_json, written_atomically

_UNLINKABLE = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


def write_folder(out: Path, entries: Iterable[tuple[Record, Path | bytes]], *, info: dict[str, Any],
                 copy: bool = False, total: int = 0, progress: Progress | None = None) -> dict[str, int]:
    """Writes metadata.jsonl, dataset.json and the pictures; returns how many pictures each split got.

    A picture is a file (hard-linked where the disk allows it and ``copy`` is false, else copied) or its bytes. The
    folder appears when it is complete. Raises LimnerError if there is something at ``out`` already.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LimnerError(f"{out} is there already. Choose another folder, or remove it first.")
    counts: dict[str, int] = {}
    with written_atomically(out) as folder:
        folder.mkdir()
        with (folder / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
            for done, (record, picture) in enumerate(entries, 1):
                if escapes(record.file_name):
                    raise LimnerError(f"the picture name {record.file_name!r} leads out of the folder {out}; refused.")
                place = folder / record.file_name
                place.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(picture, bytes):
                    place.write_bytes(picture)
                else:
                    _link_or_copy(picture, place, copy)
                metadata.write(json.dumps(record.to_json(), ensure_ascii=False) + "\n")
                counts[record.split] = counts.get(record.split, 0) + 1
                if progress is not None and (done % 256 == 0 or done == total):
                    progress(f"Writing {out.name}", done, max(total, done))
        if not counts:
            raise LimnerError(f"nothing was found that could be written to {out}.")
        write_json(folder / "dataset.json", info)
    return counts


def _link_or_copy(source: Path, target: Path, copy: bool) -> None:
    if not copy:
        try:
            os.link(source.resolve(), target)
            return
        except OSError as error:
            if error.errno not in _UNLINKABLE:
                raise
    shutil.copyfile(source, target)
