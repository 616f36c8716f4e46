"""Resizing images as the authors' frameworks did, in plain NumPy."""

import numpy as np
from numpy.typing import NDArray

from limner.errors import LimnerError


def torch7_scale(image: NDArray[np.floating], *, width: int, height: int) -> NDArray[np.floating]:
    """Resize an image as ``image.scale`` of Torch7 does in its default (bilinear) mode.

    Each axis on its own, width first: the mean over the covered area when shrinking, linear interpolation between
    aligned corner pixels when enlarging, a copy when the length stays.

    Args:
        image: (C, H, W), floating point, any range.
        width: new width in pixels.
        height: new height in pixels.

    Returns:
        (C, height, width), same dtype and range. Torch7 keeps positions in float32: expect differences of 1e-6 from it.

    Raises:
        LimnerError: not a floating (C, H, W) array with pixels, or a size below 1.
    """
    if image.ndim != 3 or 0 in image.shape or not np.issubdtype(image.dtype, np.floating):
        raise LimnerError(
            f"torch7_scale needs a floating point array (channels, height, width), not {image.dtype} {image.shape}."
        )
    if width < 1 or height < 1:
        raise LimnerError(f"An image cannot be {width} by {height} pixels; give a width and a height of at least 1.")
    across = image @ _axis_weights(image.shape[2], width).T
    return (_axis_weights(image.shape[1], height) @ across).astype(image.dtype)


def crop_and_flip(image: NDArray[np.floating], *, top: int, left: int, size: int, flip: bool) -> NDArray[np.floating]:
    """Cut the square of ``size`` pixels whose first pixel is (top, left), 0-based, and mirror it if ``flip``.

    The official GAN-CLS loaders scale to 76x76 and cut 64x64 at offsets drawn from 1 to 12 (0 never occurs).

    Args:
        image: (C, H, W).

    Returns:
        (C, size, size), a copy.

    Raises:
        LimnerError: the square does not lie within the image.
    """
    height, width = image.shape[1:]
    if size < 1 or not 0 <= top <= height - size or not 0 <= left <= width - size:
        raise LimnerError(
            f"A crop of {size} pixels at row {top}, column {left} does not lie within an image {height} high "
            f"and {width} wide."
        )
    crop = image[:, top : top + size, left : left + size]
    return (crop[:, :, ::-1] if flip else crop).copy()


def _axis_weights(source: int, target: int) -> NDArray[np.float64]:
    """Matrix (target, source) that resizes one axis."""
    if target >= source:
        # Corners aligned; hat functions around the source pixels. One source pixel spreads evenly.
        positions = np.arange(target) * ((source - 1) / max(target - 1, 1))
        return np.maximum(0.0, 1.0 - np.abs(positions[:, None] - np.arange(source)))
    edges = np.arange(target + 1) * (source / target)
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.maximum(0.0, overlap)
    return overlap / overlap.sum(axis=1, keepdims=True)
