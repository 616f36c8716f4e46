"""MS-COCO with its captions and object boxes, into our folder format."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.cache import Progress
from limner.data.record import Record
from limner.errors import LimnerError
from limner.interop.datasets.layouts import ImportReport, find, places_of, require, write_import

INFO = {
    "name": "MS-COCO",
    "description": "Photographs of everyday scenes with five captions each and boxes of 80 kinds of objects.",
    "licence": "Annotations: CC BY 4.0. The photographs are under the licences of their Flickr owners.",
    "credit": "Lin et al.: Microsoft COCO: Common Objects in Context, ECCV 2014. "
    "Captions: Chen et al.: Microsoft COCO Captions, 2015.",
}


def import_coco(
    source: Path, out: Path, *, year: int = 2014, copy: bool = False, progress: Progress | None = None
) -> ImportReport:
    """Reads annotations/captions_{train,val}YEAR.json and writes a folder in our format.

    The pictures lie in trainYEAR/ and valYEAR/ (or merged in images/). Where instances_{train,val}YEAR.json is there,
    every picture gets ``objects``: bbox in pixels, category, crowd (true for a group boxed as one). As in the papers
    the official val pictures are what is tested on: they become the split test. Pictures have no label.

    Raises LimnerError that names the missing or wrong file.
    """
    places = places_of(Path(source), "coco", "COCO")
    entries: list[tuple[Record, Path]] = []
    notes: list[str] = []
    for part, split in (("train", "train"), ("val", "test")):
        path = find(places, f"annotations/captions_{part}{year}.json")
        if path is None:
            notes.append(f"There is no annotations/captions_{part}{year}.json, so no {split} pictures.")
            continue
        pictures = require(places, f"the {part} pictures", f"{part}{year}", f"images/{part}{year}", "images")
        objects = _objects(find(places, f"annotations/instances_{part}{year}.json"), notes)
        names, captions = _captions(path, notes)
        left_out: Counter[str] = Counter()
        for number, name in names.items():
            picture = pictures / name
            reason = "have no captions" if not captions.get(number) else "" if picture.is_file() else "have no file"
            if reason:
                left_out[reason] += 1
                continue
            record = Record(
                f"{part}{year}/{name}",
                tuple(captions[number]),
                split=split,
                objects=None if objects is None else tuple(objects.get(number, ())),
            )
            entries.append((record, picture))
        notes += [f"{count} {part} pictures {reason} and were left out." for reason, count in left_out.items()]
    if not entries:
        raise LimnerError(f"no picture of {source} has captions and a file. {' '.join(notes)}")
    return write_import(out, entries, INFO, notes, copy=copy, progress=progress)


def _load(path: Path, *keys: str) -> dict[str, Any]:
    def without_outline(item: dict[str, Any]) -> dict[str, Any]:
        item.pop("segmentation", None)  # the outlines are most of the file, and nothing here uses them
        return item

    try:
        content = json.loads(path.read_bytes(), object_hook=without_outline)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LimnerError(f"{path} is not a JSON file ({error}).") from None
    missing = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise LimnerError(f"{path} is not a COCO annotation file: the list {missing[0]!r} is missing.")
    return content


def _captions(path: Path, notes: list[str]) -> tuple[dict[int, str], dict[int, list[str]]]:
    """File name by picture number, captions by picture number."""
    content = _load(path, "images", "annotations")
    captions: dict[int, list[str]] = defaultdict(list)
    empty = 0
    try:
        names = {item["id"]: PurePosixPath(item["file_name"]).name for item in content["images"]}
        for item in sorted(content["annotations"], key=lambda item: item["id"]):
            text = " ".join(item["caption"].split())
            if text:
                captions[item["image_id"]].append(text)
            empty += not text
    except (KeyError, TypeError, AttributeError) as error:
        raise LimnerError(f"{path} is not a COCO caption file ({type(error).__name__}: {error}).") from None
    if empty:
        notes.append(f"{empty} empty captions of {path.name} were left out.")
    return names, captions


def _objects(path: Path | None, notes: list[str]) -> dict[int, list[dict[str, Any]]] | None:
    """Objects by picture number; boxes without area are left out and counted."""
    if path is None:
        return None
    content = _load(path, "annotations", "categories")
    objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
    flat = 0
    try:
        names = {item["id"]: item["name"] for item in content["categories"]}
        for item in content["annotations"]:
            box = [float(number) for number in item["bbox"]]
            if len(box) != 4 or box[2] <= 0 or box[3] <= 0:
                flat += 1
                continue
            objects[item["image_id"]].append(
                {"bbox": box, "category": names[item["category_id"]], "crowd": bool(item.get("iscrowd", 0))}
            )
    except (KeyError, TypeError, ValueError) as error:
        raise LimnerError(f"{path} is not a COCO instance file ({type(error).__name__}: {error}).") from None
    if flat:
        notes.append(f"{flat} objects of {path.name} have a box without area and were left out.")
    return objects
