"""``limner data check``: everything that is wrong or odd with a folder of captioned pictures, counted and shown."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from limner.config import to_json
from limner.data.cache import Progress, worker_count
from limner.data.decoding import decode_picture, picture_size
from limner.data.folder import Problem, picture_files, read_folder
from limner.data.record import SPLITS, Record
from limner.errors import LimnerError
from limner.text.characters import INDEX_OF
from limner.text.words import split_words

if TYPE_CHECKING:
    from rich.console import RenderableType

HUGE_CAPTION = 1000
"""Characters from which on a caption is called huge; the encoders read at most 201."""
_HASH_SIDE = 8
_SMALL = 32


@dataclass(frozen=True)
class Report:
    """What the check found; sums first, then lists."""

    folder: str
    source: str
    """Where the captions stand: metadata.jsonl, metadata.csv or side files."""
    pictures: dict[str, int]
    """Usable pictures by split."""
    broken: tuple[Problem, ...]
    """Faulty lines and broken, missing or empty pictures; training refuses a folder that has any."""
    warnings: tuple[str, ...]
    """What is odd, but usable."""
    unlisted: tuple[str, ...]
    """Picture files that no line names."""
    captions: dict[str, Any]
    """count, vocabulary, distinct, huge ...; per_picture, words and characters as (min, mean, max)."""
    unknown_characters: dict[str, int]
    """Characters outside the alphabet of the char-CNN-RNN encoders (after lower-casing), with their numbers."""
    boxes_outside: tuple[str, ...]
    """Pictures whose box or visible key points reach outside."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of files with the same bytes."""
    near_duplicates: tuple[tuple[str, ...], ...]
    """Groups of pictures with the same average hash of 64 bits, apart from the groups above."""
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Split -> class -> number of pictures."""
    sizes: dict[str, Any] = field(default_factory=dict)
    """width and height (min, mean, max) of the pictures in pixels."""

    @property
    def usable(self) -> bool:
        """Whether training would take the folder as it is."""
        return not self.broken and bool(self.pictures)

    def to_json(self) -> dict[str, Any]:
        return {"usable": self.usable, **to_json(self)}


@dataclass
class _Look:
    """What decoding one picture told."""

    fault: str | None = None
    width: int = 0
    height: int = 0
    content: bytes = b""
    average: int = 0


def check_folder(path: str | Path, *, progress: Progress | None = None) -> Report:
    """Reads the folder, decodes and compares all pictures. Raises LimnerError only if there is nothing to read."""
    folder = read_folder(path)
    names = [record.file_name for record in folder.records]
    looks = _look_at_all(folder.root, names, progress)
    broken = list(folder.problems)
    for name, look in zip(names, looks, strict=True):
        if look.fault is not None:
            broken.append(Problem(name, None, look.fault, "Replace it, or take its line out."))
    good = [(record, look) for record, look in zip(folder.records, looks, strict=True) if look.fault is None]
    records = [record for record, _ in good]
    listed = set(names) | {problem.file for problem in folder.problems}
    duplicates = _groups([(look.content, record.file_name) for record, look in good])
    near = [group for group in _groups([(look.average, record.file_name) for record, look in good])
            if not any(set(group) <= set(other) for other in duplicates)]
    captions, unknown = _caption_figures(records)
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.label is not None:
            classes[record.split][str(record.label)] += 1
    outside = tuple(record.file_name for record, look in good if _reaches_outside(record, look.width, look.height))
    return Report(
        folder=str(folder.root), source=folder.source,
        pictures={split: count for split in SPLITS if (count := sum(record.split == split for record in records))},
        broken=tuple(broken), warnings=tuple(_warnings(records, duplicates, classes)),
        unlisted=tuple(name for name in picture_files(folder.root) if name not in listed),
        captions=captions, unknown_characters=unknown, boxes_outside=outside,
        duplicates=duplicates, near_duplicates=tuple(near),
        classes={split: dict(sorted(counter.items())) for split, counter in classes.items()},
        sizes={"width": _spread([look.width for _, look in good]),
               "height": _spread([look.height for _, look in good])} if good else {},
    )


def _look_at_all(root: Path, names: Sequence[str], progress: Progress | None) -> list[_Look]:
    looks = []
    with ThreadPoolExecutor(worker_count()) as pool:
        for done, look in enumerate(pool.map(lambda name: _look(root / name), names), 1):
            looks.append(look)
            if progress is not None and (done % 256 == 0 or done == len(names)):
                progress("Checking pictures", done, len(names))
    return looks


def _look(path: Path) -> _Look:
    try:
        image = decode_picture(path, at_least=_SMALL)
        width, height = picture_size(path)
    except LimnerError as error:
        return _Look(fault=str(error))
    grey = np.asarray(image.convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX), dtype=np.float32)
    bits = grey > grey.mean()
    average = int.from_bytes(np.packbits(bits).tobytes(), "big")
    if bits.sum() < 4:  # plain pictures all have the same average hash, which says nothing
        average = -int.from_bytes(hashlib.blake2b(path.read_bytes(), digest_size=8).digest(), "big")
    return _Look(None, width, height, hashlib.blake2b(path.read_bytes(), digest_size=16).digest(), average)


def _groups(keyed: Sequence[tuple[Any, str]]) -> tuple[tuple[str, ...], ...]:
    by_key: dict[Any, list[str]] = defaultdict(list)
    for key, name in keyed:
        by_key[key].append(name)
    return tuple(tuple(group) for group in by_key.values() if len(group) > 1)


def _spread(values: Sequence[int]) -> dict[str, float]:
    return {"min": min(values), "mean": round(sum(values) / len(values), 2), "max": max(values)}


def _caption_figures(records: Sequence[Record]) -> tuple[dict[str, Any], dict[str, int]]:
    captions = [caption for record in records for caption in record.captions]
    if not captions:
        return {"count": 0}, {}
    words: Counter[str] = Counter()
    lengths = []
    unknown: Counter[str] = Counter()
    control = 0
    for caption in captions:
        tokens = list(split_words(caption))
        lengths.append(len(tokens))
        words.update(tokens)
        unknown.update(character for character in caption.lower() if character not in INDEX_OF)
        control += any(unicodedata.category(character) == "Cc" for character in caption)
    figures = {
        "count": len(captions),
        "per_picture": _spread([len(record.captions) for record in records]),
        "words": _spread(lengths),
        "characters": _spread([len(caption) for caption in captions]),
        "vocabulary": len(words),
        "distinct": len(set(captions)),
        "without_words": sum(length == 0 for length in lengths),
        "huge": sum(len(caption) > HUGE_CAPTION for caption in captions),
        "longer_than_201": sum(len(caption) > 201 for caption in captions),
        "with_control_characters": control,
    }
    return figures, dict(unknown.most_common())


def _reaches_outside(record: Record, width: int, height: int) -> bool:
    """Whether the box or a visible key point lies more than a pixel outside the picture."""
    if record.bbox is not None:
        x, y, w, h = record.bbox
        if x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
            return True
    return any(visible and not (-1 <= x <= width + 1 and -1 <= y <= height + 1)
               for x, y, visible in record.keypoints or ())


def _warnings(records: Sequence[Record], duplicates: Sequence[tuple[str, ...]],
              classes: dict[str, Counter[str]]) -> list[str]:
    found = []
    splits = {record.file_name: record.split for record in records}
    counts = Counter(splits.values())
    if counts and "train" not in counts:
        found.append('No picture is in the split "train"; training needs some.')
    if counts and "val" not in counts and "test" not in counts:
        found.append('No picture is held out: set "split": "val" or "test" on some lines, or the results cannot be '
                     "measured on pictures that were not trained on.")
    elif counts and counts["val"] + counts["test"] < 50:
        found.append(f"Only {counts['val'] + counts['test']} pictures are held out; figures on so few are noise.")
    leaks = [group for group in duplicates if len({splits[name] for name in group}) > 1]
    if leaks:
        found.append(f"{len(leaks)} groups of equal pictures lie in several splits ({', '.join(leaks[0])}): "
                     "held-out figures will flatter.")
    labelled = sum(record.label is not None for record in records)
    if 0 < labelled < len(records):
        found.append(f"{labelled} of {len(records)} pictures have a label; give all pictures of a split one, or none.")
    train = classes.get("train")
    if train and len(train) == 1:
        found.append("All training pictures have one label: losses that need pictures of another class refuse it.")
    elif train and max(train.values()) > 10 * min(train.values()):
        most, least = train.most_common()[0], train.most_common()[-1]
        found.append(f"The classes are uneven: {most[0]} has {most[1]} training pictures, {least[0]} has {least[1]}.")
    lone = sum(count == 1 for count in train.values()) if train else 0
    if lone:
        found.append(f"{lone} classes have a single training picture.")
    return found


def render(report: Report) -> RenderableType:
    """The report for a terminal."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    sums = Table(title=Text(report.folder), show_header=False)
    sums.add_row("captions in", report.source)
    for split, count in report.pictures.items():
        kinds = len(report.classes.get(split, {}))
        sums.add_row(f"{split} pictures", f"{count}" + (f" in {kinds} classes" if kinds else ""))
    for name, value in {**report.sizes, **report.captions}.items():
        label = name.replace("_", " ") if name in report.sizes else f"captions: {name.replace('_', ' ')}"
        shown = f"{value['min']} to {value['max']}, mean {value['mean']}" if isinstance(value, dict) else str(value)
        sums.add_row(label, shown)
    if report.unknown_characters:
        shown = ", ".join(f"{character!r} x {count}" for character, count in
                          list(report.unknown_characters.items())[:12])
        sums.add_row("unknown characters", escape(f"{len(report.unknown_characters)} kinds: {shown}"))
    parts: list[RenderableType] = [sums]
    lists = (
        ("broken", [str(problem) for problem in report.broken]),
        ("warnings", list(report.warnings)),
        ("pictures that no line names", list(report.unlisted)),
        ("boxes or key points outside the picture", list(report.boxes_outside)),
        ("equal files", [" = ".join(group) for group in report.duplicates]),
        ("pictures that look alike", [" ~ ".join(group) for group in report.near_duplicates]),
    )
    for title, items in lists:
        if items:
            more = [f"... and {len(items) - 10} more (--json lists all)"] if len(items) > 10 else []
            parts.append(Text("\n".join([f"{title} ({len(items)}):", *(f"  {item}" for item in items[:10] + more)])))
    parts.append(Text("Ready for training." if report.usable else "Not ready for training: mend what is broken first."))
    return Group(*parts)
