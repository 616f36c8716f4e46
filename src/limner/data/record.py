"""One captioned picture: a line of ``metadata.jsonl``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from limner.errors import LimnerError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Record:
    """A picture and what is known of it."""

    file_name: str
    """Path of the picture, relative to the folder of ``metadata.jsonl``, with forward slashes."""
    captions: tuple[str, ...]
    """One or more captions (the key in the file is ``text``: a string or a list)."""
    label: str | int | None = None
    """The class of the picture, if it has one."""
    bbox: tuple[float, float, float, float] | None = None
    """Box of the object: x, y of its top left corner, width, height, in pixels of the picture file."""
    keypoints: tuple[tuple[float, float, float], ...] | None = None
    """Key points: x, y in pixels of the picture file, and 1 if visible, else 0. Their names stand in dataset.json."""
    objects: tuple[dict[str, Any], ...] | None = None
    """The objects of a scene, each a dict with at least ``bbox``."""
    attributes: dict[str, str] | None = None
    """Named attributes with one value each; the ground truth of the faithfulness measure."""
    split: str = "train"
    """train, val or test."""

    def __post_init__(self) -> None:
        if not self.file_name or not isinstance(self.file_name, str):
            raise LimnerError(f"file_name must be the path of a picture, got {self.file_name!r}.")
        if not self.captions or not all(isinstance(caption, str) and caption.strip() for caption in self.captions):
            raise LimnerError("text must be a caption or a list of captions, none of them empty.")
        if self.split not in SPLITS:
            raise LimnerError(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}.")
        if self.bbox is not None:
            numbers = [float(number) for number in self.bbox]
            if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or numbers[2] <= 0 or numbers[3] <= 0:
                raise LimnerError(f"bbox must be x, y, width, height with positive width and height, got {self.bbox}.")

    def to_json(self) -> dict[str, Any]:
        """The line of ``metadata.jsonl``; fields that are not known are left out."""
        line: dict[str, Any] = {"file_name": self.file_name, "text": list(self.captions)}
        for name in ("label", "bbox", "keypoints", "objects", "attributes"):
            value = getattr(self, name)
            if value is not None:
                line[name] = value
        line["split"] = self.split
        return line

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Record:
        """Reads a line. Unknown keys are ignored (other tools add theirs). Raises LimnerError."""
        if not isinstance(line, dict):
            raise LimnerError("a line of metadata.jsonl must be a JSON object.")
        for key in ("file_name", "text"):
            if key not in line:
                raise LimnerError(f"the field {key!r} is missing.")
        text = line["text"]
        captions = tuple(text) if isinstance(text, list) else (text,)
        try:
            bbox = None if line.get("bbox") is None else tuple(float(number) for number in line["bbox"])
            points = line.get("keypoints")
            keypoints = None if points is None else tuple((float(x), float(y), float(v)) for x, y, v in points)
        except (TypeError, ValueError):
            raise LimnerError("bbox must be four numbers and keypoints a list of [x, y, visible].") from None
        objects = line.get("objects")
        return cls(
            file_name=line["file_name"],
            captions=captions,
            label=line.get("label"),
            bbox=bbox,  # type: ignore[arg-type]
            keypoints=keypoints,
            objects=None if objects is None else tuple(objects),
            attributes=line.get("attributes"),
            split=line.get("split") or "train",
        )
