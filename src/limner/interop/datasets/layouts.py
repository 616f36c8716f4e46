"""What the official layouts share: where files lie, tables of numbers, caption files, class lists, pickled splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limner.data.cache import Progress
from limner.data.record import Record
from limner.data.writing import write_folder
from limner.errors import LimnerError

SplitChoice = Literal["trainval", "classes", "images"]
"""``trainval``: the papers' protocol, classes of train and val together against the unseen test classes.
``classes``: train, val and test classes apart. ``images``: the data set's own split of pictures, classes shared."""


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote."""

    folder: Path
    counts: dict[str, int]
    """Pictures in each split."""
    notes: tuple[str, ...]
    """What was left out or chosen, one sentence each."""


def places_of(source: Path, *inner: str) -> list[Path]:
    """The folders in which files of a layout may lie: the source, folders inside, and its parent if it is one of them.

    Raises LimnerError if the source is no folder.
    """
    if not source.is_dir():
        raise LimnerError(f"there is no folder {source}.")
    places = [source, *(source / name for name in inner if (source / name).is_dir())]
    if source.resolve().name in inner:
        places.append(source.resolve().parent)
    return places


def find(places: Sequence[Path], *names: str) -> Path | None:
    """The first of the named files or folders that exists in one of the places."""
    return next((place / name for name in names for place in places if (place / name).exists()), None)


def require(places: Sequence[Path], what: str, *names: str) -> Path:
    """Like ``find``. Raises LimnerError that says what is missing and where it was looked for."""
    found = find(places, *names)
    if found is None:
        raise LimnerError(
            f"could not find {what}: looked for {' or '.join(names)} in "
            f"{', '.join(map(str, places))}. Put it there, or give the folder that holds it."
        )
    return found


def table(path: Path, columns: int) -> dict[int, list[str]]:
    """A table of blank-separated rows: first column (a whole number) -> the other columns."""
    rows = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            cells = line.split(maxsplit=columns - 1)
            if len(cells) != columns or not cells[0].isdigit():
                raise LimnerError(
                    f"{path}, line {number}: expected {columns} columns, the first a whole number, "
                    f"got {line.strip()!r}."
                )
            rows[int(cells[0])] = cells[1:]
    return rows


def numbers(cells: Iterable[str], where: str) -> list[float]:
    """Cells as numbers. Raises LimnerError that names the place."""
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise LimnerError(f"{where}: {error}.") from None


class CaptionFiles:
    """Caption files, one caption a line; damaged characters become a blank and are counted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.damaged = 0

    def __call__(self, name: str) -> tuple[str, ...]:
        """The captions of ``name`` (without suffix); empty if there is no such file."""
        try:
            raw = (self.root / f"{name}.txt").read_bytes()
        except OSError:
            return ()
        lines = raw.decode("utf-8", errors="replace").split("\n")
        self.damaged += sum("\ufffd" in line for line in lines)
        return tuple(line for line in map(mended, lines) if line)

    def notes(self) -> list[str]:
        if not self.damaged:
            return []
        return [f"{self.damaged} captions held bytes that are not UTF-8; each became a blank."]


def mended(caption: str) -> str:
    """The caption with a blank for what was no UTF-8, and single blanks between words (as AttnGAN's reader does)."""
    return " ".join(caption.replace("\ufffd", " ").split())


def class_split(places: Sequence[Path], choice: SplitChoice) -> dict[str, str] | None:
    """Class name -> split, from {train,val,trainval,test}classes.txt; None if the lists are not there."""

    def names(part: str) -> list[str]:
        path = find(places, f"{part}classes.txt")
        if path is None:
            return []
        return [
            line.strip().removesuffix(".t7") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
        ]

    train, val, test = names("train"), names("val"), names("test")
    if choice == "trainval" or not train:
        train, val = names("trainval") or train + val, []
    if not train or not test:
        return None
    overlap = (set(train) | set(val)) & set(test)
    if overlap:
        raise LimnerError(f"the class lists are not disjoint: {min(overlap)} is both a training and a test class.")
    return {name: split for split, group in (("train", train), ("val", val), ("test", test)) for name in group}


def pickled_split(places: Sequence[Path]) -> dict[str, str] | None:
    """Picture key (without suffix) -> split, from {train,test}/filenames.pickle; None if they are not there."""
    from limner.interop.restricted_pickle import read_pickle

    split: dict[str, str] = {}
    for part in ("train", "test"):
        path = find(places, f"{part}/filenames.pickle")
        if path is None:
            return None
        for key in text_list(read_pickle(path), path):
            split[key] = part
    return split


def pickled_captions(path: Path, places: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Picture key -> captions, from AttnGAN's captions.pickle: words joined by blanks, as its tokeniser left them."""
    from limner.interop.restricted_pickle import read_pickle

    content = read_pickle(path)
    if not isinstance(content, (list, tuple)) or len(content) < 3 or not isinstance(content[2], dict):
        raise LimnerError(
            f"{path} is not AttnGAN's captions.pickle: expected a list of train captions, test captions, "
            "words by number and numbers by word."
        )
    captions: dict[str, tuple[str, ...]] = {}
    for part, encoded in zip(("train", "test"), content[:2], strict=True):
        names = require(places, f"the list of {part} pictures", f"{part}/filenames.pickle")
        keys = text_list(read_pickle(names), names)
        if not keys or len(encoded) % len(keys):
            raise LimnerError(
                f"{path} has {len(encoded)} {part} captions for the {len(keys)} pictures of {names}; "
                "they do not belong together."
            )
        each = len(encoded) // len(keys)
        for row, key in enumerate(keys):
            try:
                texts = (
                    " ".join(content[2][int(word)] for word in words)
                    for words in encoded[row * each : (row + 1) * each]
                )
                captions[key] = tuple(text for text in texts if text)
            except (KeyError, TypeError, ValueError) as error:
                raise LimnerError(f"{path} uses a word number that it does not explain ({error}).") from None
    return captions


def text_list(content: Any, path: Path) -> list[str]:
    if not isinstance(content, (list, tuple)) or not all(isinstance(item, str) for item in content):
        raise LimnerError(f"{path} does not hold a list of names.")
    return list(content)


def write_import(
    out: Path,
    entries: list[tuple[Record, Path]],
    info: dict[str, Any],
    notes: list[str],
    *,
    copy: bool,
    progress: Progress | None,
) -> ImportReport:
    """Writes the folder; what the import chose stands in dataset.json too."""
    counts = write_folder(
        out, entries, info={**info, "import_notes": notes}, copy=copy, total=len(entries), progress=progress
    )
    return ImportReport(Path(out), counts, tuple(notes))
