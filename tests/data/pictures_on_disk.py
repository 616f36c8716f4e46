"""Small real folders of pictures for the tests of this room."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def smooth_picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A picture of a few soft blotches, different for every seed."""
    grid = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_lines(root: Path, lines: list[Any]) -> None:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (root / "metadata.jsonl").write_text(text, encoding="utf-8")


def make_folder(root: Path, count: int = 6, *, kind: str = "jpg", **fields: Any) -> Path:
    """``count`` pictures with two captions each; ``fields`` are callables of the index that add fields to its line."""
    root.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(count):
        name = f"{index:03d}.{kind}"
        smooth_picture(index).save(root / name)
        line = {"file_name": name, "text": [f"picture number {index}", f"the same {index} again"]}
        lines.append(line | {field: value(index) for field, value in fields.items()})
    write_lines(root, lines)
    return root
