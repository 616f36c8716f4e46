"""Bundles: the folders that hold trained painters. This module finds and describes them without loading torch."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.files import read_json, sha256

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"
"""Where the painters that come with the package lie."""

DEFAULT = "faces-attngan"
"""The painter that paints when none is named."""


@dataclass(frozen=True)
class Bundle:
    """What is known of a bundle before it is loaded."""

    name: str
    folder: Path
    system: str
    info: dict[str, Any]
    """data, licence, preset, images, scores, limner (version): as the training or the export wrote it."""
    size: int
    """Bytes of all its files."""
    hash: str

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``limner models --json``."""
        return {"name": self.name, "folder": str(self.folder), "system": self.system, "size": self.size,
                "hash": self.hash, "info": self.info}


def bundle_hash(folder: Path) -> str:
    """SHA-256 over what decides the pixels: names and contents of the safetensors, config.json's system and config,
    and the JSON assets. A changed card or description leaves it as it is."""
    digest = hashlib.sha256()
    config = read_json(folder / "config.json")
    decisive = {name: config.get(name) for name in ("system", "config")}
    digest.update(json.dumps(decisive, sort_keys=True).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix == ".safetensors" or (file.suffix == ".json" and file.name != "config.json"):
            digest.update(f"\n{file.name} {sha256(file)}".encode())
    return digest.hexdigest()


def find(name: str | Path) -> Path:
    """The folder of a bundle: of the packaged one of that name, a bundle folder, or the painter of a run folder.

    Raises LimnerError that says what there is instead.
    """
    for packaged_folder in _packaged():
        if name == packaged_folder.name:
            return packaged_folder
    folder = Path(name)
    if not os.path.isdir(folder):  # noqa: PTH112, for Path.is_dir raises for a name that is too long
        there = ", ".join(path.name for path in _packaged()) or "none"
        raise LimnerError(f"there is no painter {str(name)!r}: give the name of a packaged one ({there}), "
                          "the folder of a bundle, or the folder of a run.")
    if (folder / "painter" / "config.json").is_file():
        return folder / "painter"
    if not (folder / "config.json").is_file():
        raise LimnerError(f"{folder} holds no painter: there is no config.json in it, nor in {folder / 'painter'}.")
    if (folder / "checkpoints").is_dir() or (folder / "log.jsonl").is_file():
        raise LimnerError(f"the run {folder} has no painter yet: it cannot paint before the first checkpoint of the "
                          "stage that paints. Let it train on (limner train ... --resume).")
    return folder


def describe(folder: Path) -> Bundle:
    """Reads what a bundle says of itself. Raises LimnerError if its config.json is damaged."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("system"), str):
        raise LimnerError(f"{folder / 'config.json'} does not describe a bundle: it names no system.")
    info = config.get("info") or {}
    default_name = folder.resolve().parent.name if folder.name == "painter" else folder.resolve().name
    return Bundle(
        name=str(info.get("name") or default_name),
        folder=folder,
        system=config["system"],
        info=info,
        size=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        hash=bundle_hash(folder),
    )


def packaged() -> list[Bundle]:
    """The bundles that come with the package, by name."""
    return [describe(folder) for folder in _packaged()]


def _packaged() -> list[Path]:
    return sorted(path.parent for path in BUNDLES.glob("*/config.json"))
