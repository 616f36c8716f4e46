import contextlib

import numpy as np
import pytest
from PIL import Image
from tests.data.pictures_on_disk import encoded, smooth_picture

from limner.data.decoding import decode_picture, picture_size, squash
from limner.errors import LimnerError


def pixels(path, **options):
    return np.asarray(decode_picture(path, **options)).astype(int)


def test_transparency_is_laid_over_white(tmp_path):
    image = np.zeros((4, 6, 4), np.uint8)
    image[:, :3] = (200, 10, 10, 255)
    image[:, 3:] = (0, 0, 0, 0)
    Image.fromarray(image).save(tmp_path / "a.png")
    decoded = pixels(tmp_path / "a.png")
    assert (decoded[:, :3] == (200, 10, 10)).all()
    assert (decoded[:, 3:] == 255).all()


def test_palette_with_a_transparent_entry(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=0)
    assert pixels(tmp_path / "a.png").tolist() == [[[255, 255, 255], [0, 0, 255]], [[0, 0, 255], [255, 255, 255]]]
    image.save(tmp_path / "b.gif")
    assert pixels(tmp_path / "b.gif")[0, 0].tolist() == [255, 0, 0]


def test_sixteen_bits_keep_their_range(tmp_path):
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png")[0, :, 0].tolist() == [0, 100, 255]


def test_cmyk_grey_and_one_bit(tmp_path):
    smooth_picture(1).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert abs(pixels(tmp_path / "a.jpg") - np.asarray(smooth_picture(1)).astype(int)).mean() < 6
    smooth_picture(1).convert("L").save(tmp_path / "b.png")
    assert pixels(tmp_path / "b.png").shape == (30, 40, 3)
    smooth_picture(1).convert("1").save(tmp_path / "c.png")
    assert set(np.unique(pixels(tmp_path / "c.png"))) <= {0, 255}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_sizes_agree(tmp_path, orientation):
    upright = smooth_picture(3, 64, 32)
    turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
             5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_270}
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert picture_size(tmp_path / "a.jpg") == (64, 32)
    assert abs(pixels(tmp_path / "a.jpg") - np.asarray(upright).astype(int)).mean() < 4


def test_reduced_decoding_stays_large_enough_and_close(tmp_path):
    smooth_picture(5, 640, 480).save(tmp_path / "a.jpg", quality=95)
    reduced = decode_picture(tmp_path / "a.jpg", at_least=128)
    assert reduced.size == (320, 240)
    whole = squash(decode_picture(tmp_path / "a.jpg"), 64).astype(int)
    assert abs(squash(reduced, 64) - whole).max() <= 4


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "header", "no file", "folder"])
def test_what_cannot_be_decoded_is_named(tmp_path, damage):
    path = tmp_path / "a.jpg"
    data = encoded(smooth_picture(1, 200, 200))
    content = {"cut": data[:len(data) // 2], "text": b"hello", "empty": b"", "header": data[:30]}
    if damage in content:
        path.write_bytes(content[damage])
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(LimnerError, match=r"a\.jpg"):
        decode_picture(path)


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # Pillow's own word on a damaged TIFF
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG"])
def test_random_damage_never_raises_anything_else(tmp_path, kind):
    random = np.random.default_rng(0)
    data = encoded(smooth_picture(1), kind)
    path = tmp_path / "a.bin"
    for _ in range(60):
        hurt = bytearray(data)
        for _ in range(8):
            hurt[random.integers(len(hurt))] = random.integers(256)
        path.write_bytes(bytes(hurt[:random.integers(1, len(hurt) + 1)]))
        with contextlib.suppress(LimnerError):
            decode_picture(path)


def test_squash_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    squashed = squash(Image.fromarray(stripes), 16)
    assert abs(squashed[:, 2:-2].astype(int) - 127.5).max() < 8
