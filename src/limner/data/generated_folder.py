"""Writes a generated data set in the folder format: pictures, ``metadata.jsonl`` and ``dataset.json``."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.data.record import SPLITS, Record
from limner.errors import LimnerError
from limner.files import write_json, written_atomically

Draw = Callable[[str, int, str], tuple[np.ndarray, Record]]
"""Makes picture ``index`` of a split: (split, index, file_name) -> (uint8 picture, its record)."""

Progress = Callable[[int, int], None]
"""Told after every few pictures: (pictures done, pictures in all)."""

_PICTURES_PER_JOB = 100
_PICTURES_PER_FOLDER = 1000

_Job = list[tuple[str, int, str]]


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
    ``workers`` is more than 1; the result does not depend on ``workers``. Raises LimnerError if ``out_folder`` is
    there already.
    """
    out_folder = Path(out_folder)
    if out_folder.exists():
        raise LimnerError(f"{out_folder} is there already. Choose another folder or remove it first.")
    if workers < 1:
        raise LimnerError(f"workers must be at least 1, got {workers}.")
    jobs = _jobs(counts)
    total = sum(counts.values())
    with written_atomically(out_folder) as folder:
        for number in range(math.ceil(total / _PICTURES_PER_FOLDER)):
            (folder / f"images/{number:03d}").mkdir(parents=True)
        done = 0
        with (folder / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
            for lines in _lines_of_jobs(folder, draw, jobs, workers):
                metadata.writelines(lines)
                done += len(lines)
                if progress is not None:
                    progress(done, total)
        write_json(folder / "dataset.json", {**info, "splits": counts})
    return out_folder


def _jobs(counts: dict[str, int]) -> list[_Job]:
    pictures = [(split, index) for split in SPLITS for index in range(counts.get(split, 0))]
    named = [(split, index, f"images/{number // _PICTURES_PER_FOLDER:03d}/{number:06d}.png")
             for number, (split, index) in enumerate(pictures)]
    return [named[start:start + _PICTURES_PER_JOB] for start in range(0, len(named), _PICTURES_PER_JOB)]


def _lines_of_jobs(folder: Path, draw: Draw, jobs: list[_Job], workers: int) -> Iterator[list[str]]:
    if workers == 1:
        yield from map(partial(_write_pictures, folder, draw), jobs)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(folder, draw)) as pool:
        try:
            yield from pool.map(_work, jobs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_assignment: tuple[Path, Draw]


def _start_worker(folder: Path, draw: Draw) -> None:
    """Runs once in each worker process, so that a large ``draw`` (it may hold a data set) travels once, not per job."""
    global _assignment
    _assignment = folder, draw
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has the folder in hand


def _work(job: _Job) -> list[str]:
    return _write_pictures(*_assignment, job)


def _write_pictures(folder: Path, draw: Draw, job: _Job) -> list[str]:
    lines = []
    for split, index, file_name in job:
        picture, record = draw(split, index, file_name)
        # compress_level 1 takes three quarters of the default's time, the files are a fifth larger (at 64 pixels)
        Image.fromarray(picture).save(folder / file_name, compress_level=1)
        lines.append(json.dumps(record.to_json(), ensure_ascii=False) + "\n")
    return lines
