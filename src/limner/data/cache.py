"""Decoded pictures, kept on disk: one memory-mapped uint8 array (N, S, S, 3) per split and size.

The file name carries the content key, a hash of what the pixels depend on: each picture's relative path, size in
bytes and time of change, in their order. Captions are not part of it, so editing a caption rebuilds nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from limner.data.decoding import decode_picture, picture_size, squash
from limner.errors import LimnerError
from limner.files import no_space, remove, written_atomically

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total) while something long is made."""

_CHUNK = 128
_SHOWN = 5


class PictureCache:
    """The cached forms of a list of pictures."""

    def __init__(self, root: Path, name: str, file_names: Sequence[str], place: Path,
                 *, progress: Progress | None = None) -> None:
        self.root = root
        self.name = name
        self.file_names = file_names
        self.place = place
        self._progress = progress or (lambda what, done, total: None)
        self._key = ""

    @property
    def key(self) -> str:
        """The content key (16 hexadecimal digits), computed once."""
        if not self._key:
            self._key = content_key(self.root, self.file_names)
        return self._key

    def pixels(self, size: int) -> np.ndarray:
        """uint8 (N, size, size, 3), memory-mapped; decodes all pictures on first use.

        Raises LimnerError if pictures are broken (the first few are named), the place cannot be written or the disk
        is full; nothing half-made stays.
        """
        return self._cached(f"{size}px", (size, size, 3), np.dtype(np.uint8),
                            lambda path: squash(decode_picture(path, at_least=2 * size), size),
                            f"Caching {self.name} pictures at {size} px")

    def sizes(self) -> np.ndarray:
        """int32 (N, 2): width and height of every upright picture file, in pixels."""
        return self._cached("sizes", (2,), np.dtype(np.int32),
                            lambda path: np.array(picture_size(path), np.int32), "Measuring pictures")

    def _cached(self, kind: str, shape: tuple[int, ...], dtype: np.dtype[Any],
                make: Callable[[Path], np.ndarray], what: str) -> np.ndarray:
        path = self.place / f"{self.name}-{kind}-{self.key}.npy"
        full = (len(self.file_names), *shape)
        found = _open(path, full, dtype)
        if found is not None:
            return found
        with locked(self.place, self.root):
            found = _open(path, full, dtype)  # another process may have made it meanwhile
            if found is None:
                self._clear(kind)
                with written_atomically(path) as temporary:
                    self._build(temporary, full, dtype, make, what)
                found = _open(path, full, dtype)
        if found is None:
            raise LimnerError(f"the cache file {path} changed while it was written; remove it and try again.")
        return found

    def _clear(self, kind: str) -> None:
        """Removes what killed builds and earlier states of the folder left (the lock is held)."""
        for pattern in (f".{self.name}-{kind}-*", f"{self.name}-{kind}-*.npy"):
            for stale in self.place.glob(pattern):
                remove(stale)

    def _build(self, path: Path, full: tuple[int, ...], dtype: np.dtype[Any],
               make: Callable[[Path], np.ndarray], what: str) -> None:
        faults: list[str] = []
        broken = 0

        def attempt(name: str) -> np.ndarray | LimnerError:
            try:
                return make(self.root / name)
            except LimnerError as error:
                return error

        total = len(self.file_names)
        with path.open("wb") as file, ThreadPoolExecutor(worker_count()) as pool:
            np.lib.format.write_array_header_1_0(
                file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": full})
            file.flush()
            _reserve(file.fileno(), file.tell() + int(np.prod(full)) * dtype.itemsize)
            for start in range(0, total, _CHUNK):
                for item in pool.map(attempt, self.file_names[start:start + _CHUNK]):
                    if isinstance(item, LimnerError):
                        broken += 1
                        faults.append(str(item)) if broken <= _SHOWN else None
                    else:
                        file.write(np.ascontiguousarray(item, dtype).data)
                self._progress(what, min(start + _CHUNK, total), total)
        if broken:
            more = f" and {broken - _SHOWN} more" if broken > _SHOWN else ""
            raise LimnerError(f"{broken} of {total} pictures in {self.root} are broken: {' '.join(faults)}{more}. "
                              f"See all with: limner data check {self.root}. Mend them, take them out, "
                              "or let them be left out with skip_broken (limner train --skip-broken).")


def content_key(root: Path, file_names: Sequence[str]) -> str:
    """Hash over each picture's relative path, size in bytes and time of change in nanoseconds, in order."""
    digest = hashlib.blake2b(digest_size=8)
    for name in file_names:
        try:
            stat = (root / name).stat()
        except OSError:
            raise LimnerError(f"there is no picture {root / name}; run: limner data check {root}.") from None
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def worker_count() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def locked(place: Path, root: Path) -> Iterator[None]:
    """Holds the lock of a cache folder, which is made if need be; the system frees it when a process dies."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        file = (place / "lock").open("ab")
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise no_space(error, place) or LimnerError(
            f"the cache of {root} cannot be written to {place} ({error.strerror}). "
            "Give another folder for it with cache_dir (--cache-dir).") from None
    with file:
        yield


def _open(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray | None:
    """The array, or None if it is not there or is not the one that is meant."""
    if shape[0] == 0:
        return np.zeros(shape, dtype)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == dtype else None


def _reserve(descriptor: int, size: int) -> None:
    """Claims the space at once, so that a full disk is met before the work and not after it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
