"""The folder that holds a painter: config.json, one safetensors file a component, one JSON file an asset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.errors import LimnerError
from limner.files import read_json, write_json, written_atomically
from limner.training.stage import Components
from limner.training.tensors import load_tensors, save_tensors

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass
class BundleFolder:
    """What a bundle folder holds."""

    system: str
    config: dict[str, Any]
    """The configuration of the system as JSON."""
    components: Components
    info: dict[str, Any] = field(default_factory=dict)
    """Where it comes from: name, data, licence, preset, images, scores, limner ..."""


def write_bundle(folder: Path, bundle: BundleFolder, *, half: bool = False, texts: Mapping[str, str] | None = None
                 ) -> None:
    """Writes a bundle beside ``folder`` and puts it in its place.

    Args:
        half: store float32 weights as float16.
        texts: further text files, name -> content (the model card).

    Raises:
        LimnerError: a component or asset name that cannot be a file name; a full disk.
    """
    components = bundle.components
    for name in (*components.weights, *components.assets):
        if not _NAME.fullmatch(name) or name == "config":
            raise LimnerError(f"a component or asset cannot be called {name!r}; use letters, digits, - and _, "
                              "and not 'config'.")
    with written_atomically(folder) as temporary:
        temporary.mkdir()
        for name, weights in components.weights.items():
            save_tensors(temporary / f"{name}.safetensors",
                         {key: _halved(value) if half else value for key, value in weights.items()})
        for name, asset in components.assets.items():
            write_json(temporary / f"{name}.json", asset)
        for name, text in (texts or {}).items():
            (temporary / name).write_text(text, encoding="utf-8")
        write_json(temporary / "config.json", {"format": FORMAT, "system": bundle.system, "config": bundle.config,
                                               "info": bundle.info})


def read_bundle(folder: Path) -> BundleFolder:
    """Reads a bundle; weights that were stored as float16 come back as float32.

    Raises:
        LimnerError: no bundle in the folder, one of a later format, or a damaged file.
    """
    if not (folder / "config.json").is_file():
        raise LimnerError(f"{folder} holds no painter: it has no config.json.")
    description = read_json(folder / "config.json")
    if not isinstance(description, dict) or not {"format", "system", "config"} <= set(description):
        raise LimnerError(f"{folder / 'config.json'} does not describe a painter: it needs the fields format, system "
                          "and config.")
    if description["format"] != FORMAT:
        raise LimnerError(f"{folder} has bundle format {description['format']!r}; this Limner reads format {FORMAT}. "
                          "Install a newer Limner or save the bundle again.")
    components = Components(
        weights={path.stem: {key: _whole(value) for key, value in load_tensors(path).items()}
                 for path in sorted(folder.glob("*.safetensors"))},
        assets={path.stem: read_json(path) for path in sorted(folder.glob("*.json")) if path.name != "config.json"},
    )
    return BundleFolder(description["system"], description["config"], components, description.get("info", {}))


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.dtype == torch.float32 else tensor


def _whole(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor
