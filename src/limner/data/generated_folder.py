"""Makes the pictures of a generated data set, in several processes if wanted, and writes them as a folder."""

from __future__ import annotations

import contextlib
import io
import math
import signal
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.data.cache import Progress
from limner.data.record import SPLITS, Record
from limner.data.writing import write_folder
from limner.errors import LimnerError

Draw = Callable[[str, int, str], tuple[np.ndarray, Record]]
"""Makes picture ``index`` of a split: (split, index, file_name) -> (uint8 picture, its record)."""

_PICTURES_PER_JOB = 100
_PICTURES_PER_FOLDER = 1000

_Job = list[tuple[str, int, str]]
_Entry = tuple[Record, bytes]


def split_counts(count: int, *, val: float = 0.05, test: float = 0.1) -> dict[str, int]:
    """Shares out ``count`` pictures: 5 % val and 10 % test, at least one of each, the rest train."""
    if count < 3:
        raise LimnerError(f"count must be at least 3 (one picture for each of train, val and test), got {count}.")
    counts = {"val": max(1, math.floor(count * val)), "test": max(1, math.floor(count * test))}
    return {"train": count - sum(counts.values()), **counts}


def write_generated(
    out_folder: Path, draw: Draw, *, counts: dict[str, int], info: dict[str, Any],
    workers: int = 1, progress: Progress | None = None,
) -> Path:
    """Writes ``counts[split]`` pictures of each split, numbered through, into ``out_folder`` and returns it.

    The folder appears when it is complete; an interrupted run leaves nothing. ``draw`` must be picklable if
    ``workers`` is more than 1; the result does not depend on ``workers``. Raises LimnerError if there is something
    at ``out_folder`` already.
    """
    if workers < 1:
        raise LimnerError(f"workers must be at least 1, got {workers}.")
    with contextlib.closing(_entries(draw, _jobs(counts), workers)) as entries:
        write_folder(out_folder, entries, info={**info, "splits": counts}, total=sum(counts.values()),
                     progress=progress)
    return out_folder


def _jobs(counts: dict[str, int]) -> list[_Job]:
    pictures = [(split, index) for split in SPLITS for index in range(counts.get(split, 0))]
    named = [(split, index, f"images/{number // _PICTURES_PER_FOLDER:03d}/{number:06d}.png")
             for number, (split, index) in enumerate(pictures)]
    return [named[start:start + _PICTURES_PER_JOB] for start in range(0, len(named), _PICTURES_PER_JOB)]


def _entries(draw: Draw, jobs: list[_Job], workers: int) -> Generator[_Entry]:
    if workers == 1:
        for job in jobs:
            yield from map(partial(_entry, draw), job)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(draw,)) as pool:
        try:
            for entries in pool.map(_work, jobs):
                yield from entries
        finally:
            pool.shutdown(cancel_futures=True)


_draw_of_worker: Draw


def _start_worker(draw: Draw) -> None:
    """Runs once in each worker process, so that a large ``draw`` (it may hold a data set) travels once, not per job."""
    global _draw_of_worker
    _draw_of_worker = draw
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has the folder in hand


def _work(job: _Job) -> list[_Entry]:
    return [_entry(_draw_of_worker, task) for task in job]


def _entry(draw: Draw, task: tuple[str, int, str]) -> _Entry:
    picture, record = draw(*task)
    file = io.BytesIO()
    # compress_level 1 takes three quarters of the default's time, the files are a fifth larger (at 64 pixels)
    Image.fromarray(picture).save(file, "png", compress_level=1)
    return record, file.getvalue()
