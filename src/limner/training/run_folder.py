"""The folder that a training writes, and what makes two runs the same run.

    config.json                     what is trained on what, with which seed and versions
    log.jsonl                       one line a tick
    samples/<stage>-<images>.png    sample grids; <stage>-reals.png shows training pictures
    checkpoints/<stage>-<images>/   state of a stage in training: state.safetensors, state.json
    stages/<n>-<name>/              what a finished stage hands on
    painter/                        the bundle of the painter, once the stage that paints has a checkpoint
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner import __version__
from limner.config import from_json, to_json
from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.files import read_json, remove, write_json, written_atomically
from limner.training.log import cut_log
from limner.vision.grid import draw_grid

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
_LOCK = ".lock"
_OF_A_FALSE_START = (_LOCK, "config.json", "samples")
"""A training that ended before its first tick leaves no more than this; it may simply be started again."""
_MUST_AGREE = ("system", "config", "data", "seed")
_DESCRIBES = {*_MUST_AGREE, "images", "tick"}


class RunFolder:
    """Paths in a run folder, and the rules about them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / "config.json"
        self.log_path = root / "log.jsonl"
        self.painter_path = root / "painter"

    @contextlib.contextmanager
    def opened(self, description: Mapping[str, Any], *, resume: bool, config_type: type[Any]
               ) -> Iterator[dict[str, Any]]:
        """Starts a new run, or takes up an old one and clears away what a killed process left half written.

        ``config_type`` is the class of the configuration: an old run may lack fields that came into being since, which
        then have their defaults.

        The run is held until the end of the body; the system frees it when the process dies. Gives the description
        as it now stands in config.json: ``images`` and ``tick`` of None keep the values of before.

        Raises:
            LimnerError: the folder is taken, there is nothing to resume, the run is another one, or another process
                is training in it.
        """
        if resume and not self.config_path.is_file():
            raise LimnerError(f"there is no training to resume in {self.root}: it has no config.json. "
                              "Leave --resume out to start one.")
        if self.root.exists() and not self.root.is_dir():
            raise LimnerError(f"{self.root} is a file; a training needs a folder of its own.")
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / _LOCK).open("ab") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise LimnerError(f"another process is training in {self.root}. Wait for it, or stop it first."
                                      ) from None
            yield self._take_up(description, config_type) if resume else self._start(description)

    def _start(self, description: Mapping[str, Any]) -> dict[str, Any]:
        if any(not _is_leftover(path) and path.name not in _OF_A_FALSE_START for path in self.root.iterdir()):
            raise LimnerError(f"{self.root} exists already and is not empty. Go on with a training in it with "
                              "--resume, or choose another folder.")
        self.clear_leftovers()
        remove(self.root / "samples")
        write_json(self.config_path, dict(description))
        return dict(description)

    def _take_up(self, description: Mapping[str, Any], config_type: type[Any]) -> dict[str, Any]:
        before = read_description(self.root)
        now = json.loads(json.dumps(dict(description)))
        if before["system"] == now["system"]:
            before["config"] = to_json(from_json(config_type, before["config"]))
        for field in _MUST_AGREE:
            found = difference(before.get(field), now[field], field)
            if found:
                raise LimnerError(f"{self.root} is another training: {found}. Resume it with the same system, "
                                  "configuration, data and seed, or start a new run in another folder.")
        self.clear_leftovers()
        now |= {name: before[name] for name in ("images", "tick") if now[name] is None}
        write_json(self.config_path, now)
        return now

    def clear_leftovers(self) -> None:
        """Removes files and folders that a killed process left half written."""
        for folder in (self.root, *(self.root / name for name in ("samples", "checkpoints", "stages"))):
            if folder.is_dir():
                for path in folder.iterdir():
                    if _is_leftover(path):
                        remove(path)

    def stage_path(self, index: int, name: str) -> Path:
        return self.root / "stages" / f"{index}-{name}"

    def take_over(self, index: int, name: str, finished: Path) -> None:
        """Copies a finished stage of another run, unless this run has that stage already."""
        path = self.stage_path(index, name)
        if not path.is_dir():
            with written_atomically(path) as temporary:
                shutil.copytree(finished, temporary)

    def checkpoint_path(self, name: str, images: int) -> Path:
        return self.root / "checkpoints" / f"{name}-{images}"

    def checkpoints(self, name: str) -> list[Path]:
        """Checkpoints of a stage, the oldest first."""
        folder = self.root / "checkpoints"
        found = []
        for path in folder.iterdir() if folder.is_dir() else ():
            stem, _, images = path.name.rpartition("-")
            if stem == name and images.isdecimal():
                found.append((int(images), path))
        return [path for _, path in sorted(found)]

    def retain(self, name: str, keep: int, best_images: int | None) -> None:
        """Removes the checkpoints of a stage but the latest ``keep`` and the best one."""
        best = None if best_images is None else self.checkpoint_path(name, best_images)
        for path in self.checkpoints(name)[:-keep]:
            if path != best:
                remove(path)

    def cut_log(self, names: tuple[str, ...], stage: str, images: int) -> None:
        """Drops log lines of later than this state; they will be written again."""
        order = {name: index for index, name in enumerate(names)}
        cut_log(self.log_path, lambda line: (order[line["stage"]], line["images"]) <= (order[stage], images))

    def save_grid(self, name: str, images: np.ndarray, captions: list[str] | None = None) -> Path:
        """Draws a sample grid to samples/<name>.png."""
        path = self.root / "samples" / f"{name}.png"
        grid = draw_grid(images, captions)
        with written_atomically(path) as temporary:
            grid.save(temporary, format="PNG")
        return path


def read_description(run: Path) -> dict[str, Any]:
    """The config.json of a run. Raises LimnerError if there is none, or one of another format."""
    if not (run / "config.json").is_file():
        raise LimnerError(f"{run} is no run folder: it has no config.json.")
    description = read_json(run / "config.json")
    if not isinstance(description, dict) or description.get("format") != FORMAT or not set(description) >= _DESCRIBES:
        raise LimnerError(f"{run / 'config.json'} does not describe a run in the format of this Limner ({FORMAT}).")
    return description


def describe_run(system: str, preset: str, config: Mapping[str, Any], corpus: Corpus, *, seed: int, images: int | None,
                 tick: int | None, device: str, precision: str) -> dict[str, Any]:
    """The content of a run's config.json."""
    return {
        "format": FORMAT, "system": system, "preset": preset, "config": dict(config),
        "data": {"name": data_name(corpus), "key": data_key(corpus)},
        "seed": seed, "images": images, "tick": tick, "device": device, "precision": precision,
        "versions": {"limner": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def data_name(corpus: Corpus) -> str:
    return str(corpus.info.get("name") or (corpus.root.name if corpus.root else "in memory"))


def data_key(corpus: Corpus) -> str:
    """Hash over all that is known of every picture and the size of its file, in order.

    A folder that was copied to another machine keeps its key; times of change are left out for that.
    """
    digest = hashlib.blake2b(digest_size=8)
    for split in corpus.splits():
        for record in corpus.split(split).records:
            digest.update(json.dumps([split, record.to_json()], ensure_ascii=False).encode())
            if corpus.root is not None:
                digest.update(str((corpus.root / record.file_name).stat().st_size).encode())
    return digest.hexdigest()


def _is_leftover(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix in (".partial", ".retired")


def difference(before: Any, now: Any, where: str) -> str | None:
    """The first place at which two JSON values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            found = difference(before.get(key), now.get(key), f"{where}.{key}")
            if found:
                return found
        return None
    if before == now:
        return None
    return f"{where} is {now!r} here and was {before!r} there"
