"""Files are written beside and renamed, so that a reader never meets half a file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limner.errors import LimnerError


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` to write a file or a folder to; it takes the place of ``path`` at the end.

    If the body raises, the temporary is removed and whatever stood at ``path`` stays untouched. A full disk becomes
    a ``LimnerError`` that names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.partial"
    remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            retired = path.parent / f".{path.name}.{os.getpid()}.retired"
            remove(retired)
            path.rename(retired)
            temporary.rename(path)
            remove(retired)
        else:
            temporary.replace(path)
    except OSError as error:
        remove(temporary)
        raise no_space(error, path) or error from error
    except BaseException:
        remove(temporary)
        raise


def no_space(error: OSError, path: Path) -> LimnerError | None:
    """The user's word for a full disk, or None if the error is another one."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return LimnerError(f"no space left on the disk while writing {path}. What was there before is untouched. "
                       "Free some space and repeat the command (a training goes on with --resume).")


def remove(path: Path) -> None:
    """Removes a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file. Raises LimnerError if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LimnerError(f"there is no file {path}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LimnerError(f"{path} is not a JSON file ({error}).") from None


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
