"""A folder opened for training: its splits, their captions, classes, boxes and key points, and their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from limner.data.cache import PictureCache, Progress, content_key, locked, worker_count
from limner.data.decoding import decode_picture, squash
from limner.data.folder import Problem, read_folder
from limner.data.record import SPLITS, Record
from limner.errors import LimnerError
from limner.files import read_json, write_json


class PictureSet:
    """The pictures of one split. Nothing is decoded before ``pixels`` is asked for."""

    def __init__(self, records: Sequence[Record], source: PictureCache | np.ndarray, *,
                 label_names: Sequence[str] | None = None, info: Mapping[str, Any] | None = None,
                 name: str = "train") -> None:
        self.name = name
        self.records = list(records)
        self.info = dict(info or {})
        self._source = source
        self._resized: dict[int, np.ndarray] = {}
        self.captions: list[str] = [caption for record in self.records for caption in record.captions]
        """All captions, picture after picture."""
        counts = np.array([len(record.captions) for record in self.records], np.int64)
        ends = np.cumsum(counts)
        self.caption_ranges: np.ndarray = np.stack([ends - counts, ends], axis=1)
        """int64 (N, 2): the captions of picture i are ``captions[first:last]``."""
        self.label_names: list[str] = list(label_names if label_names is not None else names_of_labels(self.records))
        """Names of the classes, by number; the same in every split of a corpus."""
        self.labels: np.ndarray | None = self._find_labels()
        """int64 (N,): class numbers, or None if the pictures have no labels."""
        self.keypoint_names: list[str] = list(self.info.get("keypoint_names") or ())
        self._boxes: np.ndarray | None = None
        self._keypoints: np.ndarray | None = None

    @classmethod
    def from_arrays(cls, images: np.ndarray, records: Sequence[Record], *, label_names: Sequence[str] | None = None,
                    info: Mapping[str, Any] | None = None, name: str = "train") -> PictureSet:
        """A set in memory. ``images`` is uint8 (N, H, W, 3); boxes and key points of the records are in its pixels."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) != len(records):
            raise LimnerError(f"images must be uint8 (N, H, W, 3) with a record for each, "
                              f"got {images.dtype} {images.shape} and {len(records)} records.")
        return cls(records, images, label_names=label_names, info=info, name=name)

    def __len__(self) -> int:
        return len(self.records)

    def captions_of(self, index: int) -> list[str]:
        """The captions of one picture."""
        first, last = self.caption_ranges[index]
        return self.captions[first:last]

    def with_first_captions(self, numbers: Sequence[int]) -> PictureSet:
        """The same pictures, the caption with number ``numbers[i]`` of picture i moved before its others."""
        records = [replace(record, captions=(record.captions[number], *record.captions[:number],
                                             *record.captions[number + 1:]))
                   for record, number in zip(self.records, numbers, strict=True)]
        return PictureSet(records, self._source, label_names=self.label_names, info=self.info, name=self.name)

    def pixels(self, size: int) -> np.ndarray:
        """uint8 (N, size, size, 3), pictures squashed to a square with antialiasing; memory-mapped from the cache.

        Squashed, not cropped, as GAN-CLS and alignDRAW do: the whole picture stays visible and boxes keep their
        fractions. Built on first use. Raises LimnerError for broken pictures and where the cache cannot be written.
        """
        if isinstance(self._source, PictureCache):
            if size not in self._resized:
                self._resized[size] = self._source.pixels(size)
            return self._resized[size]
        if self._source.shape[1:3] == (size, size):
            return self._source
        if size not in self._resized:
            from PIL import Image

            self._resized[size] = np.stack([squash(Image.fromarray(image), size) for image in self._source])
        return self._resized[size]

    @property
    def picture_sizes(self) -> np.ndarray:
        """int32 (N, 2): width and height of the pictures as they are on disk (upright), in pixels."""
        if isinstance(self._source, PictureCache):
            return self._source.sizes()
        height, width = self._source.shape[1:3]
        return np.tile(np.array([width, height], np.int32), (len(self), 1))

    @property
    def boxes(self) -> np.ndarray | None:
        """float32 (N, 4): x, y, width, height as fractions of the picture, NaN where a picture has none."""
        if self._boxes is None and any(record.bbox is not None for record in self.records):
            unknown = (np.nan,) * 4
            pixels = np.array([record.bbox or unknown for record in self.records], np.float32)
            self._boxes = pixels / np.tile(self.picture_sizes, (1, 2)).astype(np.float32)
        return self._boxes

    @property
    def keypoints(self) -> np.ndarray | None:
        """float32 (N, P, 3): x, y as fractions of the picture and 1 if visible, else three zeros."""
        if self._keypoints is None and any(record.keypoints is not None for record in self.records):
            count = len(next(record.keypoints for record in self.records if record.keypoints is not None))
            points = np.zeros((len(self), count, 3), np.float32)
            for row, record in enumerate(self.records):
                if record.keypoints is not None:
                    if len(record.keypoints) != count:
                        raise LimnerError(f"{record.file_name} has {len(record.keypoints)} key points, others have "
                                          f"{count}. Give all pictures the same list of points.")
                    points[row] = record.keypoints
            points[:, :, :2] /= self.picture_sizes[:, None].astype(np.float32)
            self._keypoints = points * points[:, :, 2:]
        return self._keypoints

    def _find_labels(self) -> np.ndarray | None:
        labelled = sum(record.label is not None for record in self.records)
        if labelled == 0:
            return None
        if labelled < len(self):
            bare = next(record.file_name for record in self.records if record.label is None)
            raise LimnerError(f"{labelled} of {len(self)} pictures of the {self.name} split have a label, {bare} has "
                              "none. Give all pictures of a split a label, or none.")
        numbers = {name: number for number, name in enumerate(self.label_names)}
        try:
            return np.array([numbers[str(record.label)] for record in self.records], np.int64)
        except KeyError as error:
            raise LimnerError(f"the label {error} is not among label_names.") from None


class Corpus:
    """The splits of one collection of pictures."""

    def __init__(self, sets: Mapping[str, PictureSet], *, root: Path | None = None,
                 info: Mapping[str, Any] | None = None, skipped: Sequence[Problem] = ()) -> None:
        self.root = root
        """The folder, or None for a corpus in memory."""
        self.info: dict[str, Any] = dict(info or {})
        """dataset.json: name, licence, credit, keypoint_names ..."""
        self.skipped: tuple[Problem, ...] = tuple(skipped)
        """What ``skip_broken`` left out."""
        self._sets = {name: sets[name] for name in SPLITS if name in sets}

    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have pictures, in the order train, val, test."""
        return tuple(self._sets)

    def split(self, name: str) -> PictureSet:
        """The pictures of a split. Raises LimnerError if it has none."""
        if name not in self._sets:
            raise LimnerError(f"{self.root or 'the corpus'} has no pictures in the split {name!r}; it has "
                              f'{", ".join(self._sets) or "none"}. Set "split": "{name}" on some lines.')
        return self._sets[name]


def open_corpus(folder: str | Path, *, cache_dir: Path | None = None, progress: Progress | None = None,
                skip_broken: bool = False) -> Corpus:
    """Opens a folder of captioned pictures. Captions and labels are read now, pixels at the first ``pixels(size)``.

    The cache lies in FOLDER/.limner-cache, or in a subfolder of ``cache_dir``. Any fault of the folder raises a
    LimnerError, unless ``skip_broken``: then every picture is decoded once to find the broken ones, faulty lines and
    broken pictures are left out, and they are listed in ``Corpus.skipped`` and counted through ``progress``.
    """
    found = read_folder(folder, strict=not skip_broken)
    root = found.root.resolve()
    place = cache_place(root, cache_dir)
    records, skipped = list(found.records), list(found.problems)
    if skip_broken:
        broken = _broken_pictures(root, records, place, progress)
        records = [record for record in records if record.file_name not in broken]
        skipped += [Problem(name, None, what, "Replace it, or take it out.") for name, what in broken.items()]
        if progress and skipped:
            progress(f"Left out {len(skipped)} of {len(records) + len(skipped)} pictures or lines with faults",
                     len(skipped), len(records) + len(skipped))
    if not records:
        raise LimnerError(f"{root} has no picture that can be used; see: limner data check {root}.")
    label_names = names_of_labels(records)
    sets = {}
    for name in SPLITS:
        chosen = [record for record in records if record.split == name]
        if chosen:
            cache = PictureCache(root, name, [record.file_name for record in chosen], place, progress=progress)
            sets[name] = PictureSet(chosen, cache, label_names=label_names, info=found.info, name=name)
    return Corpus(sets, root=root, info=found.info, skipped=skipped)


def cache_place(root: Path, cache_dir: Path | None) -> Path:
    """Where the cache of a folder lies; folders that share a ``cache_dir`` do not meet there."""
    if cache_dir is None:
        return root / ".limner-cache"
    return Path(cache_dir) / f"{root.name}-{hashlib.blake2b(str(root).encode(), digest_size=4).hexdigest()}"


def names_of_labels(records: Sequence[Record]) -> list[str]:
    """Class names of records in the order of their numbers: whole numbers by value, then names by alphabet."""
    labels = {record.label for record in records if record.label is not None}
    ordered = sorted(labels, key=lambda label: (isinstance(label, str), label if isinstance(label, int) else 0,
                                                str(label)))
    return list(dict.fromkeys(map(str, ordered)))


def _broken_pictures(root: Path, records: Sequence[Record], place: Path, progress: Progress | None) -> dict[str, str]:
    """Broken pictures and what is wrong with them; the answer is kept in the cache under the content key."""
    names = [record.file_name for record in records]
    path = place / f"broken-{content_key(root, names)}.json"
    if path.exists():
        return read_json(path)

    def fault(name: str) -> str | None:
        try:
            decode_picture(root / name, at_least=16)
        except LimnerError as error:
            return str(error)
        return None

    broken = {}
    with ThreadPoolExecutor(worker_count()) as pool:
        for done, (name, what) in enumerate(zip(names, pool.map(fault, names), strict=True), 1):
            if what is not None:
                broken[name] = what
            if progress and (done % 512 == 0 or done == len(names)):
                progress("Looking for broken pictures", done, len(names))
    with locked(place, root):
        write_json(path, broken)
    return broken
