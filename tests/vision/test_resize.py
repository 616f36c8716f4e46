import re
from pathlib import Path

import numpy as np
import pytest

from limner.errors import LimnerError
from limner.vision.resize import crop_and_flip, torch7_scale

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "gan_cls" / "image_scale_crop.npz")
SCALED = [key for key in GOLDEN.files if key.startswith("scale_")]


@pytest.mark.parametrize("key", SCALED)
def test_scale_equals_torch7(key):
    width, height = map(int, re.fullmatch(r"scale_w(\d+)_h(\d+)", key).groups())
    ours = torch7_scale(GOLDEN["src"].astype(np.float64), width=width, height=height)
    np.testing.assert_allclose(ours, GOLDEN[key], rtol=1e-12, atol=1e-12)


def test_view_of_the_official_loader():
    top, left, flip = (int(n) for n in GOLDEN["aug/h1_w1_flip"])
    scaled = torch7_scale(GOLDEN["aug/src"].astype(np.float64), width=76, height=76)
    view = 2 * crop_and_flip(scaled, top=top, left=left, size=64, flip=bool(flip)) - 1
    np.testing.assert_allclose(view, GOLDEN["aug/out"], atol=1.2e-7)


def test_constant_images_and_dtype_stay():
    image = np.full((1, 5, 7), 0.25, np.float32)
    for width, height in ((7, 5), (1, 1), (3, 2), (14, 9), (7, 20)):
        scaled = torch7_scale(image, width=width, height=height)
        assert scaled.dtype == np.float32
        assert scaled.shape == (1, height, width)
        np.testing.assert_allclose(scaled, 0.25, rtol=1e-6)
    np.testing.assert_allclose(torch7_scale(image[:, :1, :1], width=4, height=3), 0.25)


def test_shrinking_by_a_whole_factor_is_the_block_mean():
    image = np.random.default_rng(0).random((3, 8, 12))
    blocks = image.reshape(3, 4, 2, 4, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(torch7_scale(image, width=4, height=4), blocks, rtol=1e-12)


@pytest.mark.parametrize(
    ("image", "width"),
    [(np.zeros((2, 2)), 4), (np.zeros((3, 2, 2), np.uint8), 4), (np.zeros((3, 0, 2)), 4), (np.zeros((3, 2, 2)), 0)],
)
def test_what_cannot_be_scaled_is_refused(image, width):
    with pytest.raises(LimnerError):
        torch7_scale(image, width=width, height=4)


@pytest.mark.parametrize(("top", "left"), [(-1, 0), (0, 13), (13, 0)])
def test_a_crop_outside_the_image_is_refused(top, left):
    with pytest.raises(LimnerError, match="does not lie within"):
        crop_and_flip(np.zeros((3, 76, 76)), top=top, left=left, size=64, flip=False)
