from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from limner.matching.damsm.scorer import Match
from limner.painting.explain import WordEffect, _lit, _places, _words_over, save_explanation, save_match
from limner.painting.painting import Model, Painting
from limner.painting.png import read_story
from limner.systems.protocol import WordMaps


def _painting() -> Painting:
    pixels = np.full((16, 16, 3), 200, np.uint8)
    return Painting(Image.fromarray(pixels), "a RED ring.", 3, 0, Model("tiny", "attngan", "0" * 64))


def _map(row: int, column: int) -> np.ndarray:
    map = np.full((8, 8), 0.1, np.float32)
    map[row : row + 2, column : column + 2] = 0.9
    return map


def test_a_picture_is_lit_where_a_word_was_looked_up() -> None:
    image = _painting().array
    lit = _lit(image, _map(0, 0))
    assert lit[0, 0].tolist() == [200] * 3
    assert lit[12:, 12:].max() == 40
    assert _lit(image, np.full((8, 8), 0.5, np.float32)).max() == 40  # looked up everywhere alike
    assert _lit(image, None).max() == 40


def test_a_word_stands_over_its_place() -> None:
    image = _painting().array
    plain = np.asarray(Image.fromarray(image).resize((384, 384), Image.Resampling.NEAREST))
    for row, column in ((0, 0), (6, 6)):
        large, elsewhere = _words_over(image, ["ring"], _map(row, column)[None])
        assert not elsewhere
        middle = np.argwhere((np.asarray(large) != plain).any(2)).mean(0) / 384
        assert np.abs(middle - np.array([row + 1, column + 1]) / 8).max() < 0.06
    large, elsewhere = _words_over(image, ["the"], np.full((1, 8, 8), 0.5, np.float32))
    assert np.array_equal(np.asarray(large), plain)
    assert elsewhere == ["the"]


def test_tokens_find_the_words_that_were_read() -> None:
    assert _places(["A", "red-winged", "zebra,", "caf\u00e9"], ["a", "red", "winged", "caf"]) == [[0], [1, 2], [], [3]]


def test_an_explanation_shows_every_lookup(tmp_path: Path) -> None:
    painting = _painting()
    effects = [WordEffect(word, painting, 0.1, np.eye(16, dtype=np.float32)) for word in ("a", "RED", "ring.")]
    widths = []
    for sides in ((), (8,), (8, 16)):
        maps = np.full((2, 8, 8), 0.5, np.float32)
        attention = {str(2 * side): WordMaps(("a", "ring"), maps) for side in sides} or None
        shown = replace(painting, attention=attention)
        path = save_explanation(tmp_path / f"{len(sides)}.png", shown, effects)
        assert read_story(path) == painting.story
        with Image.open(path) as image:
            widths.append(image.width)
    assert widths[0] < widths[1] < widths[2]


def test_a_match_becomes_a_picture(tmp_path: Path) -> None:
    match = Match(("red", "ring"), np.stack([_map(0, 0), _map(6, 6)]), np.array([0.5, 0.25]), 0.4,
                  np.array([0.1, 0.2]))
    sizes = []
    for side in (16, 384, 1000):  # a large picture is shown smaller
        path = save_match(tmp_path / "m.png", np.full((side, side, 3), 200, np.uint8), match)
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sizes[0][0] >= 384
    assert sizes[0][1] > 384 + 2 * 96
    assert sizes[2] == sizes[1]
