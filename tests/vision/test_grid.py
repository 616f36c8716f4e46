import numpy as np
import pytest

from limner.errors import LimnerError
from limner.vision.grid import draw_grid


def _images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, side, side, 3)).astype(np.uint8)


def test_pictures_lie_row_by_row_pixel_for_pixel() -> None:
    images = _images(6, 64)
    grid = np.asarray(draw_grid(images, columns=3))
    assert grid.shape == (2 * 68 + 4, 3 * 68 + 4, 3)
    assert np.array_equal(grid[4:68, 4:68], images[0])
    assert np.array_equal(grid[72:136, 140:204], images[5])
    assert draw_grid(images).size == (2 * 68 + 4, 3 * 68 + 4)  # about a square


def test_small_pictures_are_enlarged_by_a_whole_factor() -> None:
    images = _images(1, 28)
    grid = np.asarray(draw_grid(images, least_side=64))
    assert np.array_equal(grid[4:88, 4:88], images[0].repeat(3, 0).repeat(3, 1))


def test_each_row_has_its_caption_above_it() -> None:
    images = np.zeros((4, 64, 64, 3), np.uint8)
    plain = draw_grid(images, columns=2)
    grid = np.asarray(draw_grid(images, ["red", ""]))
    assert grid.shape[0] > plain.height + 20
    assert grid[4:20].min() < 128  # ink
    short = draw_grid(images, ["red", "blue"]).height
    long = draw_grid(images, ["red", "a caption that is far too long for one line of this small grid"]).height
    assert long > short


@pytest.mark.parametrize("caption", ["word " * 20_000, "x" * 100_000, "\U0001f99c \u9e1f\n\x07", ""])
def test_any_caption_can_be_drawn(caption: str) -> None:
    assert draw_grid(_images(2, 64), [caption]).height < 130


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(LimnerError, match="5 pictures cannot be laid out as 2 rows"):
        draw_grid(_images(5, 16), ["a", "b"])
    with pytest.raises(LimnerError, match="uint8"):
        draw_grid(_images(2, 16).astype(np.float32))
