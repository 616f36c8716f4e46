"""Pictures laid out as a grid, with a caption over each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner.errors import LimnerError

_GAP = 4
_PAPER = (255, 255, 255)
_INK = (30, 30, 30)


def draw_grid(images: np.ndarray, captions: Sequence[str] | None = None, *, columns: int | None = None,
              least_side: int = 64, font_size: int = 13, lines: int = 2) -> Image.Image:
    """Draws pictures row by row.

    Args:
        images: uint8 (N, H, W, 3).
        captions: one label for each row, written over it on at most ``lines`` lines (a longer one ends in dots);
            N must be a multiple of their number.
        columns: pictures in a row; by default N / number of captions, or about a square without captions.
        least_side: smaller pictures are enlarged by a whole factor to at least this many pixels, without smoothing.

    Raises:
        LimnerError: the numbers of pictures and captions do not fit together.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != 3 or len(images) == 0:
        raise LimnerError(f"a grid needs uint8 pictures (N, H, W, 3), got {images.dtype} {images.shape}.")
    if columns is None:
        columns = len(images) // max(len(captions), 1) if captions is not None else round(len(images) ** 0.5)
    if captions is not None and columns * len(captions) != len(images):
        raise LimnerError(f"{len(images)} pictures cannot be laid out as {len(captions)} rows of {columns}.")
    factor = -(-least_side // min(images.shape[1:3]))
    if factor > 1:
        images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = images.shape[1:3]
    canvas_width = columns * (width + _GAP) + _GAP
    font = ImageFont.load_default(font_size)
    labels = [] if captions is None else [wrapped(text, font, canvas_width - 2 * _GAP, lines) for text in captions]
    line_height = round(font_size * 1.35)
    rows = -(-len(images) // columns)
    heights = [len(label) * line_height + 2 for label in labels] or [0] * rows
    canvas = Image.new("RGB", (canvas_width, sum(heights) + rows * (height + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(canvas)
    top = _GAP
    for row in range(rows):
        for number, text in enumerate(labels[row] if labels else []):
            draw.text((_GAP, top + number * line_height), text, fill=_INK, font=font)
        top += heights[row]
        for column, image in enumerate(images[row * columns:(row + 1) * columns]):
            canvas.paste(Image.fromarray(image), (_GAP + column * (width + _GAP), top))
        top += height + _GAP
    return canvas


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, lines: int) -> list[str]:
    """Text broken between words into at most ``lines`` lines of ``width`` pixels; what does not fit becomes dots."""
    done: list[str] = []
    words = text.split()
    while words and len(done) < lines:
        last = len(done) == lines - 1
        line = words[0]
        taken = 1
        while taken < len(words) and font.getlength(f"{line} {words[taken]}") <= width:
            line += f" {words[taken]}"
            taken += 1
        words = words[taken:]
        done.append(_cut(f"{line} ..." if last and words else line, font, width))
    return done or [""]


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    stem = line.removesuffix(" ...")[:width]
    while stem and font.getlength(stem + "...") > width:
        stem = stem[:-1]
    return stem.rstrip() + "..."
