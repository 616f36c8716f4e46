"""Small stand-ins in the official layouts, with generated pictures."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

from tests.data.pictures_on_disk import smooth_picture

CLASSES = ("001.Red_bird", "002.Blue_bird", "003.Grey_bird", "004.Green_bird")
PER_CLASS = 3
PARTS = ("back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape",
         "right eye", "right leg", "right wing", "tail", "throat")


def birds() -> list[tuple[int, str]]:
    """(number, path) of every bird."""
    paths = [f"{kind}/{kind[4:]}_{index:04d}_7.jpg" for kind in CLASSES for index in range(PER_CLASS)]
    return list(enumerate(paths, 1))


def point(bird: int, part: int) -> tuple[float, float, int]:
    """Where a part is, in pixels of a picture of 40 x 30; every third one is not visible."""
    return (0.0, 0.0, 0) if (bird + part) % 3 == 0 else (float(part * 2), float(bird), 1)


def write_cub_tables(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "images.txt").write_text("".join(f"{number} {path}\n" for number, path in birds()))
    (root / "bounding_boxes.txt").write_text("".join(f"{number} {number}.0 2.0 20.0 10.5\n" for number, _ in birds()))
    (root / "train_test_split.txt").write_text("".join(f"{number} {number % 2}\n" for number, _ in birds()))
    locations = root / "parts/part_locs.txt"
    locations.parent.mkdir()
    lines = [f"{number} {part} {x} {y} {visible}\n" for number, _ in birds() for part in range(1, 16)
             for x, y, visible in [point(number, part)]]
    locations.write_text("".join(lines))
    (root / "parts/parts.txt").write_text("".join(f"{number} {name}\n" for number, name in enumerate(PARTS, 1)))


def make_cub(root: Path, *, captions: bool = True, classes: bool = True) -> Path:
    """The official layout: CUB_200_2011/ and text_c10/ beside it, with class lists."""
    write_cub_tables(root / "CUB_200_2011")
    for number, path in birds():
        picture = root / "CUB_200_2011/images" / path
        picture.parent.mkdir(parents=True, exist_ok=True)
        smooth_picture(number).save(picture)
        if captions:
            text = (root / "text_c10" / path).with_suffix(".txt")
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(f"bird number {number}\n\nthis   bird is {number}\n")
    if classes:
        for part, names in (("train", CLASSES[:2]), ("val", CLASSES[2:3]), ("test", CLASSES[3:])):
            (root / f"{part}classes.txt").write_text("\n".join(names))
    return root


def write_pickles(root: Path, *, words: bool = False) -> None:
    """filenames.pickle and class_info.pickle of StackGAN, and captions.pickle of AttnGAN, in protocol 2."""
    keys = [path.removesuffix(".jpg") for _, path in birds()]
    parts = {"train": keys[:9], "test": keys[9:]}
    for part, names in parts.items():
        (root / part).mkdir(exist_ok=True)
        (root / part / "filenames.pickle").write_bytes(pickle.dumps(names, protocol=2))
        (root / part / "class_info.pickle").write_bytes(pickle.dumps([int(name[:3]) for name in names], protocol=2))
    if words:
        vocabulary = {0: "<end>", 1: "a", 2: "red", 3: "bird"}
        captions = [[[1, 2, 3], [3, 1]] * len(names) for names in parts.values()]
        content = [*captions, vocabulary, {word: number for number, word in vocabulary.items()}]
        (root / "captions.pickle").write_bytes(pickle.dumps(content, protocol=2))


def make_reduced_cub(root: Path) -> Path:
    """The reduced layout: scaled whole pictures of birds 1 to 6, cut ones of birds 5 to 9, indices, attributes."""
    write_cub_tables(root)
    for name in ("part_locs.txt", "parts.txt"):
        (root / "parts" / name).rename(root / name)
    header = [f"{axis}{part}" for part in range(1, 16) for axis in "xyv"]
    views = (("full200", range(1, 7), ["w", "h", "bx", "by", "bw", "bh"]), ("crops227", range(5, 10), []))
    for folder, numbers, extra in views:
        with (root / f"{folder}_index.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["file", "cub_id", *extra, *header])
            for number in numbers:
                name = dict(birds())[number] if extra else f"cut/{number}.jpg"
                picture = root / folder / name
                picture.parent.mkdir(parents=True, exist_ok=True)
                smooth_picture(number, 20, 15).save(picture)
                cells = [20, 15, number / 2, 1, 10, 5.25] if extra else []
                rows.writerow([name, number, *cells, *(cell for part in range(1, 16) for cell in point(number, part))])
    splits = ["train"] * 5 + ["test_seen"] * 2 + ["test_unseen"] * 5
    (root / "attribute28_vocab.json").write_text(json.dumps(
        {"order": ["wing", "size"], "values": {"wing": ["red", "blue"], "size": ["small", "large"]}}))
    (root / "attributes28.csv").write_text("cub_id,zsl_split,wing,size\n" + "".join(
        f"{number},{splits[number - 1]},{number % 3},{number % 2}\n" for number, _ in birds()))
    for name, numbers in (("captions_human", (1, 2)), ("captions_from_attributes", range(1, 13))):
        lines = [json.dumps({"cub_id": number, "path": dict(birds())[number],
                             "captions": [f"{name} {number}", f"a \ufffd\ufffd bird {number}"]}) for number in numbers]
        (root / f"{name}.jsonl").write_text("\n".join(lines))
    return root
