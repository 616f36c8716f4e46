"""Several paintings in one file: grids that remember the story of every picture, and GIFs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import limner
from limner.errors import LimnerError
from limner.painting.painting import Painting
from limner.painting.png import STORY_FORMAT, write_content, write_png
from limner.vision.grid import draw_grid

MOST_IN_GRID = 4096


def check_grid(count: int) -> None:
    """Raises LimnerError for more pictures than one grid takes."""
    if count > MOST_IN_GRID:
        raise LimnerError(f"a grid takes at most {MOST_IN_GRID} pictures, this would have {count}. Write one file for "
                          "each: put {i} into the name.")


def save_grid(path: str | Path, paintings: Sequence[Painting], *, columns: int, labels: Sequence[str] | None = None
              ) -> Path:
    """Writes paintings row by row into one PNG, ``labels`` over the rows, and all their stories into it.

    Raises LimnerError if the paintings differ in size or the name does not end in .png.
    """
    check_grid(len(paintings))
    sizes = {painting.image.size for painting in paintings}
    if len(sizes) != 1:
        raise LimnerError(f"a grid needs pictures of one size, got {sorted(sizes)}.")
    image = draw_grid(np.stack([painting.array for painting in paintings]), labels, columns=columns)
    write_png(Path(path), image, grid_story(paintings, columns=columns, labels=labels), paintings[0].parameters)
    return Path(path)


def grid_story(paintings: Sequence[Painting], *, columns: int, labels: Sequence[str] | None) -> dict[str, Any]:
    """The stories of all paintings of a grid and how it is laid out, as JSON."""
    return {
        "format": STORY_FORMAT,
        "limner": limner.__version__,
        "grid": {"columns": columns, "labels": None if labels is None else list(labels)},
        "paintings": [painting.story for painting in paintings],
    }


def save_gif(path: str | Path, frames: Sequence[Image.Image], *, milliseconds: int = 120, least_side: int = 256
             ) -> Path:
    """Writes frames as an endless GIF that rests on the last one; small frames are enlarged by a whole factor."""
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise LimnerError(f"a GIF must have a name that ends in .gif, got {path.name!r}.")
    factor = max(1, -(-least_side // min(frames[0].size)))
    size = (frames[0].width * factor, frames[0].height * factor)
    shown = [frame.resize(size, Image.Resampling.NEAREST) for frame in frames]
    content = io.BytesIO()
    times = [milliseconds] * (len(shown) - 1) + [2000]
    shown[0].save(content, "GIF", save_all=True, append_images=shown[1:], duration=times, loop=0)
    write_content(path, content.getvalue())
    return path
