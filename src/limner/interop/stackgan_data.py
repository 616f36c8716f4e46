"""The data that StackGAN's authors prepared: crops around the object, and captions' embeddings in pickles."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner.data.cache import Progress
from limner.data.decoding import decode_picture
from limner.data.folder import read_folder
from limner.data.record import Record
from limner.data.writing import write_folder
from limner.errors import LimnerError
from limner.interop.datasets.layouts import find, places_of, require, text_list
from limner.interop.restricted_pickle import read_pickle
from limner.text.embedding_table import EmbeddingTable

_EMBEDDINGS = ("char-CNN-RNN-embeddings.pickle", "char-CNN-GRU-embeddings.pickle", "skip-thought-embeddings.pickle")


def object_square(box: Sequence[float], *, width: int, height: int) -> tuple[int, int, int, int]:
    """The square around an object that StackGAN trains on: left, top, right, bottom in whole pixels.

    Its half side is three quarters of the longer side of the box (x, y, width, height; each rounded down), its centre
    the box's; it is then clipped to the picture, after which it need not be square.

    Source: official code, both releases.
    """
    x, y, across, down = (int(number) for number in box)
    half = int(0.75 * max(across, down))
    centre_x, centre_y = int((2 * x + across) / 2), int((2 * y + down) / 2)
    return (max(0, centre_x - half), max(0, centre_y - half), min(width, centre_x + half),
            min(height, centre_y + half))


def crop_to_objects(source: Path, out: Path, *, progress: Progress | None = None) -> dict[str, int]:
    """Writes a folder of our format with every picture cut to ``object_square`` (as PNG); returns the counts by split.

    Boxes and key points follow. Raises LimnerError for a picture without a box or with a box outside it.
    """
    folder = read_folder(source, strict=True)
    bare = [record.file_name for record in folder.records if record.bbox is None]
    if bare:
        raise LimnerError(f"{len(bare)} of {len(folder.records)} pictures of {source} have no box, for example "
                          f"{bare[0]}; a crop around the object needs one for each.")
    note = "Pictures are cut to the square around their box as StackGAN's authors do."
    info = {**folder.info, "import_notes": [*folder.info.get("import_notes", []), note]}
    return write_folder(out, _crops(folder.root, folder.records), info=info, total=len(folder.records),
                        progress=progress)


def _crops(root: Path, records: Sequence[Record]) -> Iterator[tuple[Record, bytes]]:
    for record in records:
        assert record.bbox is not None
        picture = decode_picture(root / record.file_name)
        left, top, right, bottom = object_square(record.bbox, width=picture.width, height=picture.height)
        if right <= left or bottom <= top:
            raise LimnerError(f"the box {record.bbox} of {record.file_name} lies outside its {picture.width}x"
                              f"{picture.height} pixels.")
        content = io.BytesIO()
        picture.crop((left, top, right, bottom)).save(content, "PNG")
        x, y, across, down = record.bbox
        points = record.keypoints and tuple(_moved(point, left, top, right, bottom) for point in record.keypoints)
        name = str(Path(record.file_name).with_suffix(".png").as_posix())
        yield replace(record, file_name=name, bbox=(x - left, y - top, across, down), keypoints=points,
                      objects=None), content.getvalue()


def _moved(point: tuple[float, float, float], left: int, top: int, right: int, bottom: int
           ) -> tuple[float, float, float]:
    x, y, visible = point
    return (x - left, y - top, visible if left <= x < right and top <= y < bottom else 0.0)


def import_embeddings(source: Path, folder: Path, out: Path, *, file: str = "") -> int:
    """Reads the authors' embeddings of captions and writes a table for ``stackgan``'s setting ``text.folder``.

    Args:
        source: the authors' folder, with ``train`` and ``test``, each with ``filenames.pickle`` and an embeddings
            pickle (N pictures, captions each, T numbers).
        folder: the same pictures as a folder of our format, whose captions are in the order of the embeddings.
        out: where to write the table.
        file: name of the pickle; empty: the first that is there of char-CNN-RNN, char-CNN-GRU, skip-thought.

    Returns:
        How many captions the table holds.

    Raises:
        LimnerError: a missing file, a pickle that holds anything but arrays, or pictures whose numbers of captions and
            embeddings differ. Nothing of a pickle has run.
    """
    places = places_of(Path(source))
    records = read_folder(folder, strict=True).records
    captions: list[str] = []
    rows: list[np.ndarray] = []
    for split in ("train", "test"):
        if find(places, split) is None:
            continue
        names = require(places, f"the list of {split} pictures", f"{split}/filenames.pickle")
        path = require(places, f"the embeddings of {split} captions",
                       *(f"{split}/{name}" for name in ((file,) if file else _EMBEDDINGS)))
        keys = text_list(read_pickle(names), names)
        by_key = _by_key(records, with_folder=all("/" in key for key in keys))
        for key, vectors in zip(keys, _vectors(read_pickle(path), len(keys), path), strict=True):
            record = by_key.get("/".join(Path(key).parts[-2:]))
            if record is None:
                continue
            if len(record.captions) != len(vectors):
                raise LimnerError(f"{record.file_name} has {len(record.captions)} captions and {len(vectors)} "
                                  f"embeddings in {path}; they cannot be told apart.")
            captions += record.captions
            rows += list(vectors)
    missing = sum(len(record.captions) for record in records) - len(captions)
    if missing or not captions:
        raise LimnerError(f"{source} has no embeddings for {missing} of the captions in {folder}.")
    EmbeddingTable(captions, torch.from_numpy(np.stack(rows).astype(np.float32))).save(Path(out))
    return len(captions)


def _by_key(records: Sequence[Record], *, with_folder: bool) -> dict[str, Record]:
    """Pictures by their file name without suffix (COCO), or with the folder they lie in (birds, flowers)."""
    parts = 2 if with_folder else 1
    found = {"/".join(Path(record.file_name).with_suffix("").parts[-parts:]): record for record in records}
    if len(found) < len(records):
        raise LimnerError(f"{len(records) - len(found)} pictures share their name with another one, so that their "
                          "embeddings cannot be told apart.")
    return found


def _vectors(content: Any, count: int, path: Path) -> list[np.ndarray]:
    """The embeddings of every picture (captions, T)."""
    if not isinstance(content, (list, tuple, np.ndarray)) or len(content) != count:
        raise LimnerError(f"{path} does not hold embeddings of {count} pictures.")
    vectors = [np.asarray(item) for item in content]
    if any(item.ndim != 2 or item.dtype.kind != "f" or not np.isfinite(item).all() for item in vectors):
        raise LimnerError(f"{path} must hold, for each picture, an array (captions, numbers) of finite numbers.")
    return vectors
