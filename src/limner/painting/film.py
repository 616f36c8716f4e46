"""How a picture grew, step by step, and which words it came from: film frames, and a map of steps and words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner.painting.painting import Painting
from limner.painting.png import write_png
from limner.systems.protocol import StepAttention

_PAPER, _INK, _FAINT = (255, 255, 255), (30, 30, 30), (150, 150, 150)
_MARK = (214, 40, 40)
_HEAT = np.array([200, 60, 20])
_FONT = 13
_LINE = 18
_MARGIN = 6


def film_frames(paintings: Sequence[Painting], *, least_side: int = 256) -> list[Image.Image]:
    """Frames of a growing picture, as ``Painter.stream`` gives it.

    Where the system tells what it looked at in each step, every frame shows the square it has just written in, and the
    caption below with each word shaded by its share in this step and the first of them framed. Other pictures are
    frames as they are.
    """
    last = paintings[-1]
    if not isinstance(last.attention, StepAttention):
        return [painting.image for painting in paintings]
    factor = max(1, -(-least_side // min(last.image.size)))
    size = (last.image.width * factor, last.image.height * factor)
    places = _placed(last.attention.words, size[0])
    height = size[1] + (places[-1][1] + _LINE + _MARGIN if places else 0)
    return [_frame(painting, size, places, height) for painting in paintings]


def _frame(painting: Painting, size: tuple[int, int], places: list[tuple[int, int]], height: int) -> Image.Image:
    attention: StepAttention = painting.attention
    frame = Image.new("RGB", (size[0], height), _PAPER)
    frame.paste(painting.image.resize(size, Image.Resampling.NEAREST), (0, 0))
    draw = ImageDraw.Draw(frame)
    _outline(draw, attention.windows[-1], (0, 0), size)
    font = ImageFont.load_default(_FONT)
    shares = attention.weights[-1]
    for number, (word, (left, top)) in enumerate(zip(attention.words, places, strict=True)):
        box = (left - 3, size[1] + top, left + round(font.getlength(word)) + 3, size[1] + top + _LINE)
        draw.rectangle(box, fill=_shade(shares[number]))
        if number == int(shares.argmax()):
            draw.rectangle(box, outline=_INK)
        draw.text((left, size[1] + top + 1), word, fill=_INK, font=font)
    return frame


def save_attention_map(path: str | Path, painting: Painting) -> Path:
    """Writes a PNG: the canvas after every step with the square written in, and under it, a row a word, the share of
    the word in the step. The shares of a step add up to one; the darkest shade is a share of one half, or the largest
    share if that is more.

    For paintings whose ``attention`` is a ``StepAttention`` with words, and that keep their ``canvases``.
    """
    attention: StepAttention = painting.attention
    font = ImageFont.load_default(_FONT)
    steps, cell = len(attention.weights), 44
    left = 2 * _MARGIN + max(round(font.getlength(word)) for word in attention.words)
    top = _MARGIN + cell + _LINE
    sheet = Image.new("RGB", (left + steps * cell + _MARGIN, top + len(attention.words) * _LINE + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    strongest = max(float(attention.weights.max()), 0.5)  # so that an even spread over words looks even and pale
    for step, canvas in enumerate(painting.canvases):
        corner = (left + step * cell, _MARGIN)
        side = (cell - 2, cell - 2)
        sheet.paste(Image.fromarray(canvas).resize(side, Image.Resampling.BOX), corner)
        _outline(draw, attention.windows[step], corner, side)
        draw.text((corner[0] + 1, _MARGIN + cell), str(step + 1), fill=_FAINT, font=font)
        for number, share in enumerate(attention.weights[step] / strongest):
            place = (corner[0], top + number * _LINE, corner[0] + cell - 3, top + (number + 1) * _LINE - 2)
            draw.rectangle(place, fill=_shade(share))
    for number, word in enumerate(attention.words):
        draw.text((_MARGIN, top + number * _LINE), word, fill=_INK, font=font)
    write_png(Path(path), sheet, painting.story, painting.parameters)
    return Path(path)


def _placed(words: Sequence[str], width: int) -> list[tuple[int, int]]:
    """Left and top of every word under a picture, in as many lines as needed."""
    font = ImageFont.load_default(_FONT)
    places, left, top = [], _MARGIN, _MARGIN
    for word in words:
        length = round(font.getlength(word))
        if left > _MARGIN and left + length > width - _MARGIN:
            left, top = _MARGIN, top + _LINE + 2
        places.append((left, top))
        left += length + 8
    return places


def _outline(draw: ImageDraw.ImageDraw, window: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> None:
    """The square of a window, as far as it lies on the picture."""
    x, y, side = (float(number) for number in window[:3])
    low = [max(0.0, middle - side / 2) for middle in (x, y)]
    high = [min(1.0, middle + side / 2) for middle in (x, y)]
    if low[0] < high[0] and low[1] < high[1]:
        ends = [corner[axis] + round(place[axis] * (size[axis] - 1)) for place in (low, high) for axis in (0, 1)]
        draw.rectangle(ends, outline=_MARK)


def _shade(share: float) -> tuple[int, int, int]:
    colour = np.round(255 + (_HEAT - 255) * float(np.clip(share, 0, 1)))
    return int(colour[0]), int(colour[1]), int(colour[2])
