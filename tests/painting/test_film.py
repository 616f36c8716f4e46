from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from limner.painting.film import film_frames, save_attention_map
from limner.painting.painting import Model, Painting
from limner.painting.png import read_story
from limner.systems.protocol import StepAttention

WORDS = ("red", "ring")


def _painting(weights: list[list[float]], windows: list[list[float]], words: tuple[str, ...] = WORDS) -> Painting:
    canvases = np.full((len(weights), 16, 16, 3), 128, np.uint8)
    attention = StepAttention(words, np.array(weights, np.float32).reshape(len(weights), -1),
                              np.array(windows, np.float32))
    return Painting(Image.fromarray(canvases[-1]), " ".join(words), 0, 0, Model("toy", "toy", "0"),
                    attention=attention, canvases=canvases)


def test_a_frame_shows_the_word_and_the_place_of_its_step() -> None:
    half = [0.5, 0.5, 0.5, 0.01]
    first, second = film_frames([_painting([[0.9, 0.1]], [half]),
                                 _painting([[0.9, 0.1], [0.2, 0.8]], [half, [0.25, 0.25, 0.5, 0.01]])])
    assert first.size == second.size
    assert first.width == 256
    assert first.height > 256  # the caption stands below
    picture = np.asarray(first)[:256]
    assert (picture[64, 64:190] == (214, 40, 40)).all()  # the upper edge of the square in the middle
    assert (picture[128, 128] == 128).all()
    assert (np.asarray(second)[128, 10:120] == (214, 40, 40)).all()
    caption = [np.asarray(frame)[256:].astype(int) for frame in (first, second)]
    left, right = slice(4, 24), slice(36, 56)
    assert caption[0][8, left].sum() < caption[1][8, left].sum()  # darker where the share is larger
    assert caption[0][22, left].sum() < caption[0][22, right].sum()
    assert caption[1][8, right].sum() < caption[0][8, right].sum()


def test_without_words_the_place_is_shown_and_without_attention_the_picture_alone() -> None:
    painting = _painting([[]], [[0.5, 0.5, 0.5, 0.0]], words=())
    [frame] = film_frames([painting])
    assert frame.size == (256, 256)
    assert (np.asarray(frame) == (214, 40, 40)).all(2).any()
    plain = replace(painting, attention=None)
    assert film_frames([plain]) == [plain.image]


def test_a_window_outside_the_picture_is_not_drawn() -> None:
    [frame] = film_frames([_painting([[1.0, 0.0]], [[3.0, -3.0, 0.5, 0.0]])])
    assert (np.asarray(frame)[:256] == 128).all()


def test_the_map_holds_a_cell_for_every_word_and_step(tmp_path: Path) -> None:
    painting = _painting([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5, 0.5, 0.0]] * 3)
    path = save_attention_map(tmp_path / "map.png", painting)
    assert read_story(path) == painting.story
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    left, top = pixels.shape[1] - 6 - 3 * 44, 6 + 44 + 18
    cells = np.array([[pixels[top + word * 18 + 8, left + step * 44 + 20].sum() for step in range(3)]
                      for word in range(2)])
    assert (cells[0] == [cells[0, 0], cells[0, 1], 765]).all()
    assert cells[0, 1] < cells[0, 0] < cells[0, 2]
    assert cells[1].tolist() == [cells[0, 0], 765, cells[0, 1]]
