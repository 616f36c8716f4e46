"""Which word did what: where every word was looked up, and the same picture painted with each word left out in turn.

The second works with every system, for it only looks at paintings: same seed, same noise, one word less. What changes
in the picture is what the word did (occlusion, as in Zeiler and Fergus 2014, section 2.2, applied to the words).
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner.errors import LimnerError
from limner.matching.damsm.scorer import Match
from limner.painting.painter import Painter
from limner.painting.painting import Painting
from limner.painting.png import png_path, write_content, write_png
from limner.systems.protocol import Request, WordMaps
from limner.text.words import split_words
from limner.vision.grid import draw_grid

MOST_WORDS = 60
_CELL = 96
_LARGE = 384
_DARKEST = 0.2
_LOCAL = 1.5
"""A word stands somewhere if the strongest place of its map has so many times the mean."""
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


@dataclass(frozen=True)
class WordEffect:
    """What one word of a caption did to its picture."""

    word: str
    without: Painting
    """The painting of the caption without this word."""
    change: float
    """Mean absolute difference of the pixels, 0 (no effect) to 1."""
    map: np.ndarray
    """float32 (H, W), 0 to 1: where the pixels differ, mean over the colours."""


def word_effects(painter: Painter, painting: Painting) -> list[WordEffect]:
    """Paints the caption once more without each of its words, all else equal.

    Raises LimnerError for a caption of fewer than two or more than 60 words.
    """
    words = list(re.finditer(r"\S+", painting.caption))
    if not 2 <= len(words) <= MOST_WORDS:
        raise LimnerError(f"explaining leaves out one word at a time and takes 2 to {MOST_WORDS} words; "
                          f"this caption has {len(words)}.")
    text = painting.caption
    request = Request(text, painting.seed, painting.index, painting.inputs)
    rests = [" ".join((text[: word.start()] + text[word.end() :]).split()) for word in words]
    effects = []
    for word, without in zip(words, painter.paint([replace(request, caption=rest) for rest in rests]), strict=True):
        map = np.abs(painting.array.astype(np.float32) - without.array).mean(2) / 255
        effects.append(WordEffect(word.group(), without, float(map.mean()), map))
    return effects


def save_explanation(path: str | Path, painting: Painting, effects: Sequence[WordEffect]) -> Path:
    """Writes a PNG: a row for each word with the painting, the one without the word, and where they differ.

    If the painting's regions looked up their words (its ``attention`` holds ``WordMaps``), the words stand over their
    regions in a large copy at the top, and between painting and the one without the word come, for every look-up from
    the smallest map on, the regions that looked the word up; what did not is dark.
    """
    lookups = _lookups(painting.attention)
    places = _places([effect.word for effect in effects], lookups[-1].words if lookups else ())
    strongest = max(float(effect.map.max()) for effect in effects) or 1.0
    cells, labels = [], []
    for effect, numbers in zip(effects, places, strict=True):
        heat = (effect.map / strongest * 255).round().astype(np.uint8)
        shown = [_lit(painting.array, maps.maps[numbers].sum(0) if numbers else None) for maps in lookups]
        cells += [painting.array, *shown, effect.without.array, np.repeat(heat[:, :, None], 3, axis=2)]
        unread = ", not read" if lookups and not numbers else ""
        labels.append(f"without {effect.word!r}{unread}: {effect.change:.1%}")
    sheet = draw_grid(np.stack(cells), labels, columns=3 + len(lookups), least_side=_CELL)
    if lookups:
        sheet = _headed(painting.array, lookups[-1].words, lookups[-1].maps, sheet)
    write_png(Path(path), sheet, painting.story, painting.parameters)
    return Path(path)


def save_match(path: str | Path, image: np.ndarray, match: Match) -> Path:
    """Writes a PNG that shows how a matching model sees a picture, uint8 (S, S, 3) of any S, and a caption.

    At the top the words over the regions that they mean; then, a row a word, the picture and those regions, labelled
    with the cosine of the word and its regions, and with the cosines of picture and caption, and of picture and caption
    without the word.
    """
    if len(image) > _LARGE:
        image = np.asarray(Image.fromarray(image).resize((_LARGE, _LARGE), Image.Resampling.LANCZOS))
    cells, labels = [], []
    for number, word in enumerate(match.words):
        cells += [image, _lit(image, match.maps[number])]
        labels.append(f"{word!r} {match.cosines[number]:.2f}; all {match.whole:.2f}, without it "
                      f"{match.without[number]:.2f}")
    rows = draw_grid(np.stack(cells), labels, columns=2, least_side=_CELL)
    sheet = _headed(image, match.words, match.maps, rows)
    content = io.BytesIO()
    sheet.save(content, "PNG", optimize=True)
    write_content(png_path(path), content.getvalue())
    return Path(path)


def _lookups(attention: object) -> list[WordMaps]:
    if not isinstance(attention, Mapping):
        return []
    return [maps for maps in attention.values() if isinstance(maps, WordMaps) and maps.words]


def _places(tokens: Sequence[str], words: Sequence[str]) -> list[list[int]]:
    """For every token of a caption, between blanks, the numbers of the painter's words that come from it."""
    places, number = [], 0
    for token in tokens:
        own = []
        for piece in split_words(token):
            if number < len(words) and words[number] in (piece, piece.encode("ascii", "ignore").decode()):
                own.append(number)
                number += 1
        places.append(own)
    return places


def _lit(image: np.ndarray, map: np.ndarray | None) -> np.ndarray:
    """A picture lit where a map is strong and dark where it is at its mean or below; all dark without a map."""
    light = np.zeros(image.shape[:2], np.float32)
    if map is not None:
        ratio = _enlarged(map / max(float(map.mean()), 1e-12), image.shape[0])
        light = np.clip((ratio - 1) / (max(float(ratio.max()), _LOCAL) - 1), 0, 1)
    return (image * (_DARKEST + (1 - _DARKEST) * light[:, :, None])).round().astype(np.uint8)


def _enlarged(map: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(map.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))


def _headed(image: np.ndarray, words: Sequence[str], maps: np.ndarray, sheet: Image.Image) -> Image.Image:
    """A sheet under a large copy of a picture with its words."""
    large, elsewhere = _words_over(image, words, maps)
    label = [f"in no one place: {' '.join(elsewhere)}"] if elsewhere else None
    top = draw_grid(np.asarray(large)[None], label, lines=4)
    whole = Image.new("RGB", (max(top.width, sheet.width), top.height + sheet.height), _PAPER)
    whole.paste(top, (0, 0))
    whole.paste(sheet, (0, top.height))
    return whole


def _words_over(image: np.ndarray, words: Sequence[str], maps: np.ndarray) -> tuple[Image.Image, list[str]]:
    """A large copy of a picture with every word that stands somewhere written over that place, the most local first; a
    word that would cover another moves down or up. Then the words that found no place."""
    factor = max(1, _LARGE // image.shape[0])
    side = factor * image.shape[0]
    font = ImageFont.load_default(15)
    peaks = [float(map.max() / max(float(map.mean()), 1e-12)) for map in maps]
    local = sorted((i for i, peak in enumerate(peaks) if peak >= _LOCAL), key=lambda i: -peaks[i])
    elsewhere = [word for i, word in enumerate(words) if i not in local]
    large = Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    taken: list[tuple[float, float, float, float]] = []
    for i in local:
        width, height = font.getlength(words[i]) + 8, 20.0
        x, y = _middle(maps[i])
        left = min(max(x * side - width / 2, 0), side - width)
        for shift in (0, 1, -1, 2, -2, 3, -3, 4, -4):
            top = y * side - height / 2 + shift * height
            box = (left, top, left + width, top + height)
            if 0 <= top <= side - height and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                draw.rectangle(box, fill=_PAPER, outline=_INK)
                draw.text((left + 4, top + 1), words[i], fill=_INK, font=font)
                break
        else:
            elsewhere.append(words[i])
    return large, elsewhere


def _middle(map: np.ndarray) -> tuple[float, float]:
    """x and y, 0 to 1, of the middle of the places where a square map has more than half of its strongest value."""
    weights = np.where(map > map.max() / 2, map, 0)
    rows, columns = np.indices(map.shape) + 0.5
    total = weights.sum() * len(map)
    return float((columns * weights).sum() / total), float((rows * weights).sum() / total)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
