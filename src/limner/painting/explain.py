"""Which word did what: the same picture painted with each word left out in turn.

Works with every system, for it only looks at paintings: same seed, same noise, one word less. What changes in the
picture is what the word did (occlusion, as in Zeiler and Fergus 2014, section 2.2, applied to the words).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from limner.errors import LimnerError
from limner.painting.painter import Painter
from limner.painting.painting import Painting
from limner.painting.png import write_png
from limner.systems.protocol import Request
from limner.vision.grid import draw_grid

MOST_WORDS = 60


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
    """Writes a PNG: a row for each word with the painting, the one without the word, and where they differ."""
    strongest = max(float(effect.map.max()) for effect in effects) or 1.0
    rows, labels = [], []
    for effect in effects:
        heat = (effect.map / strongest * 255).round().astype(np.uint8)
        rows += [painting.array, effect.without.array, np.repeat(heat[:, :, None], 3, axis=2)]
        labels.append(f"without {effect.word!r}: {effect.change:.1%}")
    image = draw_grid(np.stack(rows), labels, columns=3, least_side=96)
    write_png(Path(path), image, painting.story, painting.parameters)
    return Path(path)
