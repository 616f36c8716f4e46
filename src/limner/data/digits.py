"""The built-in data set ``digits``: MNIST digits on a 60 x 60 canvas with the caption grammar of alignDRAW.

Source: Mansimov et al. 2016, "Generating Images from Captions with Attention", section 4.2, and the authors'
``mnist-captions`` generator, which ``sample_layout`` follows draw by draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limner.data.cache import Progress
from limner.data.digits_source import Digits, DigitSource, read_digits
from limner.data.generated_folder import split_counts, write_generated
from limner.data.record import SPLITS, Record
from limner.errors import LimnerError
from limner.randomness import stream

CANVAS_SIZE = 60
DIGIT_SIZE = 28

TEMPLATES = (
    "the digit {0} is on the left of the digit {1} .",
    "the digit {1} is on the right of the digit {0} .",
    "the digit {0} is at the top of the digit {1} .",
    "the digit {1} is at the bottom of the digit {0} .",
    "the digit {0} is at the top left of the image .",
    "the digit {0} is at the bottom right of the image .",
    "the digit {0} is at the top right of the image .",
    "the digit {0} is at the bottom left of the image .",
)
"""The captions, 12 tokens each. {0} is the left, upper or only digit, {1} the right or lower one."""

VOCABULARY = (*"0123456789", "the", "digit", "is", "on", "at", "left", "right", "bottom", "top", "of", "image", ".")
"""The words; a word's position is its id in the authors' models."""

HELD_OUT = (3, 7, 3, 7, 5, 0, 5, 0, 1, 8, 2, 6)
"""What train and val never show: 3 on the left, 7 on the right, 5 at the top, 0 at the bottom of a pair; 1 at the top
left, 8 at the bottom right, 2 at the top right, 6 at the bottom left of the image.

Numbers 0 to 7 are pairs (left or upper digit, right or lower digit) for templates 0 to 3, numbers 8 to 11 the single
digit of templates 4 to 7; 10 holds nothing out. The authors draw these numbers anew in every run and keep no record
of them. Here the two templates of one arrangement hold out the same digits, so that the picture is new, not only its
caption.
"""

_LOW, _MIDDLE = (0, 2), (16, 18)
_FAR_ROW = (30, 32)
_NEAR_COLUMN, _FAR_COLUMN = (0, 4), (28, 32)
_CORNERS = {  # template: place, rows, columns
    4: ("top left", _LOW, _NEAR_COLUMN),
    5: ("bottom right", _FAR_ROW, _FAR_COLUMN),
    6: ("top right", _LOW, _FAR_COLUMN),
    7: ("bottom left", _FAR_ROW, _NEAR_COLUMN),
}

Draw = Callable[[int, int], int]
"""A draw of a whole number between two bounds, both included."""


@dataclass(frozen=True)
class Layout:
    """A picture to be: the template, which digits of the source are pasted, and the top left corners (row, column)."""

    template: int
    digits: tuple[int, ...]
    corners: tuple[tuple[int, int], ...]


def sample_layout(
    draw: Draw, labels: np.ndarray, *, held_out: Sequence[int] = HELD_OUT, unseen: bool = False,
) -> Layout:
    """Draws a layout in the order of the authors' generator: template and two digits until allowed, then offsets.

    ``unseen`` turns the rule round: only layouts with a held-out combination are kept.
    """
    while True:
        template, first, second = draw(0, 7), draw(0, len(labels) - 1), draw(0, len(labels) - 1)
        if _is_held_out(template, int(labels[first]), int(labels[second]), held_out) == unseen:
            break
    if template in (0, 1):
        row = draw(*_MIDDLE)
        return Layout(template, (first, second), ((row, draw(*_NEAR_COLUMN)), (row, draw(*_FAR_COLUMN))))
    if template in (2, 3):
        column = draw(*_MIDDLE)
        return Layout(template, (first, second), ((draw(*_LOW), column), (draw(*_FAR_ROW), column)))
    _, rows, columns = _CORNERS[template]
    return Layout(template, (first,), ((draw(*rows), draw(*columns)),))


def _is_held_out(template: int, first: int, second: int, held_out: Sequence[int]) -> bool:
    if template < 4:
        return first == held_out[2 * template] or second == held_out[2 * template + 1]
    return first == held_out[template + 4]


def caption_of(layout: Layout, labels: np.ndarray) -> str:
    """The caption of a layout."""
    return TEMPLATES[layout.template].format(*(int(labels[digit]) for digit in layout.digits))


def token_ids(caption: str) -> list[int]:
    """The ids of a caption's words in ``VOCABULARY``. Raises LimnerError for a word that the grammar lacks."""
    for word in caption.split():
        if word not in VOCABULARY:
            raise LimnerError(f"the grammar of digits has no word {word!r}; its words are {' '.join(VOCABULARY)}")
    return [VOCABULARY.index(word) for word in caption.split()]


def draw_layout(layout: Layout, images: np.ndarray) -> np.ndarray:
    """Pastes the digits, later ones over earlier ones: uint8 (60, 60), white on black."""
    canvas = np.zeros((CANVAS_SIZE, CANVAS_SIZE), images.dtype)
    for digit, (row, column) in zip(layout.digits, layout.corners, strict=True):
        canvas[row:row + DIGIT_SIZE, column:column + DIGIT_SIZE] = images[digit]
    return canvas


def layout_record(layout: Layout, digits: Digits, *, file_name: str, split: str) -> Record:
    """Everything that is known of a layout. Boxes enclose the ink of each digit.

    The label is 10 a + b for a left of b, 100 + 10 a + b for a above b, 200 + 10 corner + a for one digit (corners in
    the order of the templates). Attributes: "count", and "digit 1", "digit 2", "relation" or "digit", "place".
    """
    words = [int(digits.labels[digit]) for digit in layout.digits]
    objects: list[dict[str, Any]] = []
    for digit, word, (row, column) in zip(layout.digits, words, layout.corners, strict=True):
        objects.append({"digit": str(word), "bbox": list(_ink_box(digits.images[digit], row, column))})
    if layout.template < 4:
        relation = ("left of", "above")[layout.template // 2]
        label = 100 * (layout.template // 2) + 10 * words[0] + words[1]
        attributes = {"count": "two", "digit 1": str(words[0]), "digit 2": str(words[1]), "relation": relation}
    else:
        label = 200 + 10 * (layout.template - 4) + words[0]
        attributes = {"count": "one", "digit": str(words[0]), "place": _CORNERS[layout.template][0]}
    boxes = np.array([entry["bbox"] for entry in objects])
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    x, y, width, height = (float(number) for number in (*low, *(high - low)))
    return Record(
        file_name=file_name, captions=(caption_of(layout, digits.labels),), label=label, bbox=(x, y, width, height),
        objects=tuple(objects), attributes=attributes, split=split,
    )


def _ink_box(image: np.ndarray, row: int, column: int) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return (float(column + columns[0]), float(row + rows[0]),
            float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1))


def _picture(
    source: DigitSource, seed: int, held_out: tuple[int, ...], split: str, index: int, file_name: str,
) -> tuple[np.ndarray, Record]:
    digits = source.train if split == "train" else source.test
    rng = stream(seed, f"digits/{split}", index)
    layout = sample_layout(lambda low, high: int(rng.integers(low, high + 1)), digits.labels,
                           held_out=held_out, unseen=split == "test")
    return draw_layout(layout, digits.images), layout_record(layout, digits, file_name=file_name, split=split)


def _check_held_out(held_out: Sequence[int]) -> tuple[int, ...]:
    if len(held_out) != 12 or not all(number in range(11) for number in held_out) or set(held_out) == {10}:
        raise LimnerError(f"held_out must be 12 numbers from 0 to 10 (10 holds nothing out), not all of them 10; "
                          f"got {list(held_out)}.")
    return tuple(held_out)


def digits_arrays(
    count: int, *, mnist: Path, seed: int = 0, split: str = "train", held_out: Sequence[int] = HELD_OUT,
    first: int = 0,
) -> tuple[np.ndarray, list[Record]]:
    """Pictures ``first`` to ``first + count - 1`` of a split in memory: uint8 (count, 60, 60) and their records.

    ``mnist`` is a local file or folder, see ``limner.data.digits_source``.
    """
    if split not in SPLITS:
        raise LimnerError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    source, held_out = read_digits(mnist), _check_held_out(held_out)
    made = [_picture(source, seed, held_out, split, index, f"{split}/{index:06d}.png")
            for index in range(first, first + count)]
    pictures = np.stack([picture for picture, _ in made]) if made else np.empty((0, CANVAS_SIZE, CANVAS_SIZE), np.uint8)
    return pictures, [record for _, record in made]


def make_digits(
    out_folder: Path, *, mnist: Path, count: int, seed: int = 0, held_out: Sequence[int] = HELD_OUT,
    workers: int = 1, progress: Progress | None = None,
) -> Path:
    """Writes the data set as a folder of 8-bit grey PNGs: 85 % train, 5 % val, 10 % test (held-out combinations only).

    val and test use other handwritten digits than train. Picture ``index`` of a split is a pure function of
    (seed, split, index, held_out) and of the source. Raises LimnerError for an unusable MNIST file, a bad option or
    an ``out_folder`` that is there already.
    """
    held_out = _check_held_out(held_out)
    source = read_digits(mnist)
    info = {
        "name": "digits",
        "description": "Handwritten digits of MNIST on a 60 x 60 canvas with the captions of alignDRAW.",
        "licence": "digits: that of the MNIST file they come from; arrangement and captions: Apache-2.0",
        "size": CANVAS_SIZE,
        "seed": seed,
        "vocabulary": list(VOCABULARY),
        "caption_attributes": ["count", "digit", "place", "digit 1", "digit 2", "relation"],
        "held_out": list(held_out),
        "source_digits": {"train": len(source.train.labels), "val and test": len(source.test.labels)},
    }
    return write_generated(Path(out_folder), partial(_picture, source, seed, held_out), counts=split_counts(count),
                           info=info, workers=workers, progress=progress)
