"""Reads handwritten digits from a local MNIST file in IDX or NPZ form. Nothing is ever downloaded."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from limner.errors import LimnerError

_EXPECTED = ("expected an NPZ file (arrays x_train, y_train, x_test, y_test, or x, y), an IDX file of images with its "
             "labels beside it (train-images-idx3-ubyte and train-labels-idx1-ubyte, .gz or not), or the folder of "
             "the four IDX files")

_PARTS = (("train", "train-"), ("test", "t10k-"))


@dataclass(frozen=True)
class Digits:
    """Handwritten digits and what they are."""

    images: np.ndarray
    """uint8 (N, 28, 28), white ink (255) on black (0)."""
    labels: np.ndarray
    """int64 (N,), 0 to 9."""


@dataclass(frozen=True)
class DigitSource:
    """Digits for the pictures of train, and others for those of val and test."""

    train: Digits
    test: Digits


def read_digits(path: Path) -> DigitSource:
    """Reads an NPZ file, an IDX file (``.gz`` or not) or a folder of IDX files.

    A source without a test part lends every sixth of its digits to val and test: the share that the authors of
    alignDRAW kept for validation (10,000 of 60,000), and right for files that are sorted by digit too. Raises
    LimnerError that says what is wrong with the file.
    """
    path = Path(path)
    if not path.exists():
        raise LimnerError(f"there is no MNIST file {path}; {_EXPECTED}. Limner does not download it.")
    if path.is_dir():
        parts = _read_folder(path)
    elif path.suffix == ".npz":
        parts = _read_npz(path)
    else:
        parts = {"train": _read_idx_pair(path)}
    checked = {name: _checked(images, labels, f"{path} ({name})") for name, (images, labels) in parts.items()}
    source = DigitSource(checked["train"], checked["test"]) if "test" in checked else _divided(checked["train"])
    for name, digits in (("train", source.train), ("val and test", source.test)):
        lacking = sorted(set(range(10)) - set(digits.labels.tolist()))
        if lacking:
            raise LimnerError(f"{path}: among the {len(digits.labels)} digits for {name} there is no {lacking[0]}; "
                              "every digit is needed at least once. Use a larger MNIST file.")
    return source


def _divided(digits: Digits) -> DigitSource:
    lent = np.arange(len(digits.labels)) % 6 == 5
    return DigitSource(Digits(digits.images[~lent], digits.labels[~lent]),
                       Digits(digits.images[lent], digits.labels[lent]))


def _read_npz(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
                return {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")}
            if {"x", "y"} <= set(arrays):
                return {"train": (arrays["x"], arrays["y"])}
            found = ", ".join(arrays) or "nothing"
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise LimnerError(f"{path} cannot be read as an NPZ file ({error}); {_EXPECTED}.") from None
    raise LimnerError(f"{path} holds the arrays {found}; {_EXPECTED}.")


def _read_folder(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    parts = {}
    for part, prefix in _PARTS:
        files = [folder / f"{prefix}images-idx3-ubyte{suffix}" for suffix in ("", ".gz")]
        found = [file for file in files if file.exists()]
        if found:
            parts[part] = _read_idx_pair(found[0])
    if "train" not in parts:
        raise LimnerError(f"the folder {folder} has no train-images-idx3-ubyte or train-images-idx3-ubyte.gz; "
                          f"{_EXPECTED}.")
    return parts


def _read_idx_pair(images: Path) -> tuple[np.ndarray, np.ndarray]:
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    stem = name.removesuffix(".gz")
    candidates = [images.with_name(stem), images.with_name(stem + ".gz")]
    found = [file for file in candidates if file.exists() and file != images]
    pixels = _read_idx(images)
    if not found:
        raise LimnerError(f"no labels beside {images}: expected {candidates[0]} or {candidates[1].name}.")
    return pixels, _read_idx(found[0])


def _read_idx(path: Path) -> np.ndarray:
    """An array of bytes in IDX form: two zero bytes, type 8, number of axes, one big-endian int32 an axis, the data."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise LimnerError(f"{path} cannot be read ({error}).") from None
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise LimnerError(f"{path} is not an IDX file of bytes (it begins with {data[:4].hex(' ') or 'nothing'}); "
                          f"{_EXPECTED}.")
    head = 4 + 4 * data[3]
    shape = tuple(int(number) for number in np.frombuffer(data[4:head], ">i4")) if len(data) >= head else ()
    if not shape or len(data) - head != math.prod(shape):
        raise LimnerError(f"{path} is cut short or damaged: its head announces the shape {shape}, "
                          f"but {max(len(data) - head, 0)} bytes follow. Fetch the file again.")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _checked(images: np.ndarray, labels: np.ndarray, where: str) -> Digits:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise LimnerError(f"{where}: images must be bytes of shape (N, 28, 28), got {images.dtype} {images.shape}.")
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise LimnerError(f"{where}: expected one whole number as label for each of {len(images)} images, "
                          f"got {labels.dtype} {labels.shape}.")
    labels = labels.astype(np.int64)
    others = labels[(labels < 0) | (labels > 9)]
    if len(others):
        raise LimnerError(f"{where}: labels must be the digits 0 to 9, got {others[0]}.")
    blank = np.flatnonzero(~images.reshape(len(images), -1).any(1))
    if len(blank):
        raise LimnerError(f"{where}: image {blank[0]} (of {len(blank)} such) has no ink. Fetch the file again.")
    return Digits(images, labels)
