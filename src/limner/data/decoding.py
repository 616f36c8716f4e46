"""One picture file to upright 8-bit RGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from limner.errors import LimnerError

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


def decode_picture(path: Path, *, at_least: int = 0) -> Image.Image:
    """Decodes a picture file to an upright RGB image; transparency is laid over white, 16 bit become 8.

    With ``at_least`` a JPEG may come back reduced by 2, 4 or 8 (done in its cosine transform, which is fast), with
    both sides still at least that long. Raises LimnerError if the file is no picture or a part of it is missing.
    """
    try:
        return _decode(path.read_bytes(), at_least)
    except FileNotFoundError:
        raise LimnerError(f"there is no picture {path}.") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError, MemoryError,
            Image.DecompressionBombError) as error:
        # Pillow's readers raise all of these on damaged bytes
        raise LimnerError(f"{path} cannot be decoded ({error or type(error).__name__}).") from None


def _decode(data: bytes, at_least: int) -> Image.Image:
    if not data:
        raise ValueError("the file is empty")
    image = Image.open(io.BytesIO(data))
    if at_least and image.format == "JPEG":
        image.draft(None, (at_least, at_least))
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_deep(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit greyscale (or 32-bit and float holding 16-bit or 8-bit values) to RGB; Pillow alone would clip it."""
    values = np.asarray(image, dtype=np.float64)
    if values.size and values.max() > 255:
        values = values / 257.0
    grey = np.clip(np.rint(np.nan_to_num(values)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture in pixels, from the file's header only. Raises LimnerError."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError) as error:
        raise LimnerError(f"{path} cannot be decoded ({error}).") from None
    return (height, width) if sideways else (width, height)


def squash(image: Image.Image, size: int) -> np.ndarray:
    """Resizes to a square by squashing, antialiased: uint8 (size, size, 3)."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)
