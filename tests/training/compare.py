"""Holds two run folders against each other."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.training.log import read_log
from limner.training.tensors import load_tensors

_OF_THE_MACHINE = {"seconds", "images_per_second", "memory_mb"}


def tensors_of(run: Path) -> dict[str, Tensor]:
    """All tensors of the painter, of the stages and of their last checkpoints."""
    checkpoints: dict[str, Path] = {}
    for path in sorted((run / "checkpoints").iterdir(), key=lambda path: int(path.name.rpartition("-")[2])):
        checkpoints[path.name.rpartition("-")[0]] = path
    folders = [run / "painter", *(run / "stages").iterdir(), *checkpoints.values()]
    return {f"{folder.name}/{path.stem}/{key}": value for folder in folders for path in folder.glob("*.safetensors")
            for key, value in load_tensors(path).items()}


def log_of(run: Path) -> list[dict[str, Any]]:
    """The log without times and memory."""
    return [{key: value for key, value in line.items() if key not in _OF_THE_MACHINE}
            for line in read_log(run / "log.jsonl")]


def same_runs(run: Path, other: Path) -> None:
    """Asserts that two runs ended with the same log and the same tensors, bit for bit."""
    assert [json.dumps(line) for line in log_of(run)] == [json.dumps(line) for line in log_of(other)]
    ours, theirs = tensors_of(run), tensors_of(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert not [path for path in run.rglob("*") if path.suffix in (".partial", ".retired")]
