"""Oxford-102 flowers with the captions of Reed et al. (CVPR 2016), into our folder format."""

from __future__ import annotations

from pathlib import Path

from limner.data.cache import Progress
from limner.data.record import Record
from limner.errors import LimnerError
from limner.interop.datasets.layouts import (
    CaptionFiles,
    ImportReport,
    SplitChoice,
    class_split,
    pickled_split,
    places_of,
    require,
    write_import,
)

INFO = {
    "name": "Oxford-102",
    "description": "Photographs of flowers of 102 kinds.",
    "licence": "No licence is stated by the authors; for research. The photographs belong to their owners. "
    "The captions of Reed et al. carry no licence.",
    "credit": "Nilsback, Zisserman: Automated flower classification over a large number of classes, ICVGIP 2008. "
    "Captions: Reed, Akata, Schiele, Lee: Learning Deep Representations of Fine-Grained Visual "
    "Descriptions, CVPR 2016.",
}


def import_oxford102(
    source: Path,
    out: Path,
    *,
    captions: str = "auto",
    split: SplitChoice = "trainval",
    copy: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Reads jpg/image_00001.jpg ... and text_c10/class_00001/image_00001.txt and writes a folder in our format.

    The class of a flower is the folder of its captions, so imagelabels.mat is not needed. ``captions`` is another
    folder of that layout, or ``auto`` (text_c10). ``split``: ``trainval`` (82 classes to train, 20 unseen ones to
    test) or ``classes`` (train, val and test apart), from the class lists, else from the pickled file names.

    Raises LimnerError that names the missing or wrong file.
    """
    if split == "images":
        raise LimnerError(
            "Oxford-102's own split of pictures stands in setid.mat, which is not read; "
            "take split 'trainval' or 'classes'."
        )
    places = places_of(Path(source), "102flowers", "flowers", "flowers/102flowers", "cvpr2016_flowers")
    pictures = require(places, "the pictures", "jpg", "images")
    texts = (
        Path(captions)
        if captions != "auto" and Path(captions).is_dir()
        else require(places, "the captions", "text_c10" if captions == "auto" else captions)
    )
    classes = class_split([*places, texts], split)
    pickled = None if classes is not None else pickled_split(places)
    if classes is None and pickled is None:
        raise LimnerError(
            "no class-disjoint split was found: put trainvalclasses.txt and testclasses.txt, or "
            "train/filenames.pickle and test/filenames.pickle, into the source folder."
        )
    read = CaptionFiles(texts)
    entries: list[tuple[Record, Path]] = []
    missing = bare = unassigned = 0
    for text in sorted(texts.glob("class_*/image_*.txt")):
        label, stem = text.parent.name, text.stem
        picture = pictures / f"{stem}.jpg"
        part = classes.get(label) if classes is not None else (pickled or {}).get(f"jpg/{stem}")
        lines = read(f"{label}/{stem}")
        missing += not picture.is_file()
        bare += picture.is_file() and not lines
        unassigned += picture.is_file() and bool(lines) and part is None
        if picture.is_file() and lines and part is not None:
            entries.append((Record(f"jpg/{stem}.jpg", lines, label=label, split=part), picture))
    captioned = {path.stem for path in texts.glob("class_*/image_*.txt")}
    uncaptioned = sum(path.stem not in captioned for path in pictures.glob("image_*.jpg"))
    notes = [
        f"{count} {what} and were left out."
        for count, what in (
            (missing, "flowers with captions have no picture"),
            (bare, "flowers have an empty caption file"),
            (unassigned, "flowers are in no split"),
            (uncaptioned, "pictures have no caption file"),
        )
        if count
    ]
    if not entries:
        raise LimnerError(f"no flower of {source} has a picture, captions and a split. {' '.join(notes)}")
    return write_import(
        out, entries, {**INFO, "captions": texts.name}, notes + read.notes(), copy=copy, progress=progress
    )
