"""Caltech-UCSD Birds-200-2011 with the captions of Reed et al. (CVPR 2016), into our folder format."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limner.data.cache import Progress
from limner.data.decoding import picture_size
from limner.data.record import Record
from limner.errors import LimnerError
from limner.files import read_json
from limner.interop.datasets.layouts import (
    CaptionFiles,
    ImportReport,
    SplitChoice,
    class_split,
    find,
    mended,
    numbers,
    pickled_captions,
    pickled_split,
    places_of,
    require,
    table,
    write_import,
)

Views = Literal["all", "full", "crops"]
Box = tuple[float, float, float, float]
Points = tuple[tuple[float, float, float], ...]
_PARTS = 15
_SEEN_SPLITS = {"train": "train", "test_seen": "val", "test_unseen": "test"}

INFO = {
    "name": "CUB-200-2011",
    "description": "Caltech-UCSD Birds-200-2011: photographs of 200 kinds of birds with boxes and 15 parts.",
    "licence": "Non-commercial research and education only; the photographs belong to their Flickr owners; "
    "not for redistribution. The captions of Reed et al. carry no licence.",
    "credit": "Wah, Branson, Welinder, Perona, Belongie: The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001. "
    "Captions: Reed, Akata, Schiele, Lee: Learning Deep Representations of Fine-Grained Visual "
    "Descriptions, CVPR 2016.",
}


@dataclass(frozen=True)
class _View:
    """One picture file of a bird, with box and parts in its pixels."""

    file: Path
    name: str
    bbox: Box | None
    points: Points | None


def import_cub(
    source: Path,
    out: Path,
    *,
    captions: str = "auto",
    split: SplitChoice = "trainval",
    views: Views = "all",
    copy: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Reads CUB_200_2011 (images.txt, classes, boxes, parts) and writes a folder in our format.

    ``source`` is the folder that holds CUB_200_2011, or CUB_200_2011 itself. A reduced copy is read too: index files
    ``full200_index.csv`` (scaled pictures) and ``crops227_index.csv`` (pictures cut to the box) instead of
    ``images/``; ``views`` then says whether a bird is taken full where there is a full picture and else cut (``all``),
    only ``full`` or only ``crops``.

    ``captions``: a folder of <class>/<picture>.txt, a captions.pickle of AttnGAN, or a .jsonl of
    {"path", "captions"}; ``auto`` looks for text_c10, text, captions.pickle and captions_*.jsonl.

    ``split``: the papers' protocol ``trainval`` (150 classes to train, 50 unseen ones to test), ``classes`` or
    ``images``; from the class lists, else the pickled file names, else the ``zsl_split`` column of attributes28.csv
    (there test_seen, unseen pictures of training classes, becomes val).

    Raises LimnerError that names the missing or wrong file.
    """
    places = places_of(Path(source), "CUB_200_2011", "birds", "birds/CUB_200_2011")
    paths = {key: cells[0] for key, cells in table(require(places, "the list of pictures", "images.txt"), 2).items()}
    keys = {key: path.rsplit(".", 1)[0] for key, path in paths.items()}
    attributes, seen_split = _attributes(places)
    split_of = _split(places, split, keys, seen_split)
    captions_of, notes, caption_source = _captions(places, captions)
    found, view_notes = _views(places, paths, views)
    entries: list[tuple[Record, Path]] = []
    missing = bare = unassigned = 0
    for key, path in paths.items():
        view = found.get(key)
        texts = captions_of(keys[key])
        part = split_of(key)
        missing += view is None
        bare += view is not None and not texts
        unassigned += view is not None and bool(texts) and part is None
        if view is None or not texts or part is None:
            continue
        entries.append(
            (
                Record(
                    view.name,
                    texts,
                    label=path.split("/")[0],
                    bbox=view.bbox,
                    keypoints=view.points,
                    attributes=attributes.get(key),
                    split=part,
                ),
                view.file,
            )
        )
    notes += view_notes
    for count, what in ((missing, "have no picture file"), (bare, "have no captions"), (unassigned, "are in no split")):
        if count:
            notes.append(f"{count} of the {len(paths)} birds in images.txt {what} and were left out.")
    if not entries:
        raise LimnerError(f"no bird of {source} has a picture, captions and a split. {' '.join(notes)}")
    if isinstance(captions_of, CaptionFiles):
        notes += captions_of.notes()
    info: dict[str, Any] = {**INFO, "captions": caption_source}
    if any(view.points for view in found.values()):
        info["keypoint_names"] = _part_names(places)
    return write_import(out, entries, info, notes, copy=copy, progress=progress)


def _part_names(places: Sequence[Path]) -> list[str]:
    rows = table(require(places, "the names of the parts", "parts/parts.txt", "parts.txt"), 2)
    return [rows[part][0].strip() for part in sorted(rows)]


def _views(places: Sequence[Path], paths: dict[int, str], views: Views) -> tuple[dict[int, _View], list[str]]:
    """Picture number -> the picture that is taken."""
    images = find(places, "images")
    indices = {"full": find(places, "full200_index.csv"), "crops": find(places, "crops227_index.csv")}
    if images is not None:
        if views == "crops":
            raise LimnerError(f"{images} holds whole pictures, there are no crops; leave views at 'all'.")
        return _official_views(places, images, paths), []
    if not any(indices.values()):
        require(places, "the pictures", "images", "full200_index.csv", "crops227_index.csv")
    chosen: dict[int, _View] = {}
    notes = []
    for kind in ("full", "crops"):
        path = indices[kind]
        if path is None or views not in ("all", kind):
            continue
        fresh = {key: view for key, view in _indexed_views(path, kind).items() if key not in chosen}
        chosen.update(fresh)
        notes.append(f"{len(fresh)} birds are {'whole pictures' if kind == 'full' else 'pictures cut to the box'}.")
    return chosen, notes


def _official_views(places: Sequence[Path], images: Path, paths: dict[int, str]) -> dict[int, _View]:
    box_path = find(places, "bounding_boxes.txt")
    boxes = {} if box_path is None else table(box_path, 5)
    part_path = find(places, "parts/part_locs.txt", "part_locs.txt")
    points = {} if part_path is None else _part_locations(part_path)
    found = {}
    for key, path in paths.items():
        if (images / path).is_file():
            box = numbers(boxes[key], f"{box_path}, picture {key}") if key in boxes else None
            found[key] = _View(images / path, f"images/{path}", _box(box), points.get(key))
    return found


def _part_locations(path: Path) -> dict[int, Points]:
    """Picture number -> 15 points (x, y, visible); rows of the file are picture, part, x, y, visible."""
    points: dict[int, list[tuple[float, float, float]]] = {}
    for line_number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        cells = numbers(line.split(), f"{path}, line {line_number}")
        if len(cells) != 5 or not 1 <= cells[1] <= _PARTS:
            raise LimnerError(
                f"{path}, line {line_number}: expected picture, part (1 to {_PARTS}), x, y, visible, "
                f"got {line.strip()!r}."
            )
        row = points.setdefault(int(cells[0]), [(0.0, 0.0, 0.0)] * _PARTS)
        row[int(cells[1]) - 1] = (cells[2], cells[3], cells[4])
    return {key: tuple(row) for key, row in points.items()}


def _indexed_views(path: Path, kind: str) -> dict[int, _View]:
    """The pictures of an index file: file, cub_id, (bx, by, bw, bh,) x1, y1, v1 ... x15, y15, v15."""
    folder = path.parent / path.name.removesuffix("_index.csv")
    found = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            where = f"{path}, {row.get('file')}"
            try:
                key, name = int(row["cub_id"]), row["file"]
                flat = numbers((row[f"{axis}{part}"] for part in range(1, _PARTS + 1) for axis in "xyv"), where)
                box = numbers((row[name] for name in ("bx", "by", "bw", "bh")), where) if kind == "full" else None
            except (KeyError, ValueError) as error:
                raise LimnerError(f"{where}: the column {error} is missing or wrong.") from None
            if (folder / name).is_file():
                box = box or [0.0, 0.0, *map(float, picture_size(folder / name))]  # a crop is its box
                points = tuple((flat[at], flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3))
                found[key] = _View(folder / name, f"{folder.name}/{name}", _box(box), points)
    return found


def _box(cells: list[float] | None) -> Box | None:
    return None if cells is None else (cells[0], cells[1], cells[2], cells[3])


def _attributes(places: Sequence[Path]) -> tuple[dict[int, dict[str, str]], dict[int, str]]:
    """Picture number -> attributes, and picture number -> zsl_split, from attributes28.csv and its value names."""
    path = find(places, "attributes28.csv")
    if path is None:
        return {}, {}
    vocabulary = read_json(require(places, "the value names of attributes28.csv", "attribute28_vocab.json"))["values"]
    attributes, split = {}, {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = int(row["cub_id"])
            split[key] = row["zsl_split"]
            # the number after the last value means "not visible"
            values = {name: (names, int(row[name])) for name, names in vocabulary.items()}
            attributes[key] = {name: names[at] for name, (names, at) in values.items() if at < len(names)}
    return attributes, split


def _split(
    places: Sequence[Path], choice: SplitChoice, keys: dict[int, str], seen_split: dict[int, str]
) -> Callable[[int], str | None]:
    """The split of a picture by its number."""
    if choice == "images":
        rows = table(require(places, "the split of pictures", "train_test_split.txt"), 2)
        return lambda key: {"1": "train", "0": "test"}.get(rows[key][0]) if key in rows else None
    classes = class_split(places, choice)
    if classes is not None:
        return lambda key: classes.get(keys[key].split("/")[0])
    pickled = pickled_split(places)
    if pickled is not None:
        return lambda key: pickled.get(keys[key])
    if seen_split:
        return lambda key: _SEEN_SPLITS.get(seen_split.get(key, ""))
    raise LimnerError(
        "no class-disjoint split was found: put trainvalclasses.txt and testclasses.txt, or "
        "train/filenames.pickle and test/filenames.pickle, into the source folder; or take the data "
        "set's own split of pictures, whose classes overlap, with split 'images'."
    )


def _captions(places: Sequence[Path], choice: str) -> tuple[Callable[[str], tuple[str, ...]], list[str], str]:
    """Captions by picture key, notes, and the name of the source."""
    if choice == "auto":
        folder = find(places, "text_c10", "text")
        if folder is not None:
            return CaptionFiles(folder), [], folder.name
        pickle = find(places, "captions.pickle")
        lines = [
            path
            for path in (find(places, name) for name in ("captions_human.jsonl", "captions_from_attributes.jsonl"))
            if path is not None
        ]
        if pickle is None and not lines:
            require(places, "the captions", "text_c10", "text", "captions.pickle", "captions_human.jsonl")
    else:
        path = Path(choice) if Path(choice).exists() else require(places, "the captions", choice)
        if path.is_dir():
            return CaptionFiles(path), [], path.name
        pickle = path if path.suffix == ".pickle" else None
        lines = [] if pickle else [path]
    if pickle is not None:
        known = pickled_captions(pickle, places)
        return (
            lambda key: known.get(key, ()),
            ["Captions come from captions.pickle: lower-case words, no punctuation."],
            pickle.name,
        )
    known = {}
    notes = []
    for path in lines:  # earlier files win
        fresh, damaged = _caption_lines(path)
        added = {key: texts for key, texts in fresh.items() if key not in known}
        known.update(added)
        notes.append(f"{len(added)} birds have captions from {path.name}.")
        if damaged:
            notes.append(f"{damaged} captions of {path.name} held damaged characters; each became a blank.")
    return lambda key: known.get(key, ()), notes, " and ".join(path.name for path in lines)


def _caption_lines(path: Path) -> tuple[dict[str, tuple[str, ...]], int]:
    """Captions by picture key, and how many held damaged characters."""
    captions = {}
    damaged = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            damaged += sum("\ufffd" in text for text in row["captions"])
            captions[row["path"].rsplit(".", 1)[0]] = tuple(text for text in map(mended, row["captions"]) if text)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise LimnerError(
                f"{path}, line {number}: expected an object with path and captions ({type(error).__name__}: {error})."
            ) from None
    return captions, damaged
