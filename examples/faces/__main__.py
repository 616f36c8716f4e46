"""Builds the data set faces: drawn faces with captions and attributes.

    python -m examples.faces faces/ --count 20000

Python draws the lots, writes the captions and the folder; Node draws the pictures (draw.mjs) with packages that npm
installs into the folder --tools the first time. The same arguments and package versions give the same folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from examples.faces.captions import captions_of
from examples.faces.parts import CAPTION_ATTRIBUTES, HELD_OUT, Face, label_of, sample_face
from limner.cli.terminal import progress
from limner.data.cache import Progress
from limner.data.generated_folder import split_counts, write_generated
from limner.data.record import Record
from limner.errors import LimnerError
from limner.files import write_text
from limner.randomness import stream

HERE = Path(__file__).parent
SIZES = (64, 128)
PACKAGES = ("@dicebear/core", "@dicebear/collection", "@dicebear/avataaars", "@resvg/resvg-js")
LICENCE = "Pictures: free for personal and commercial use (licence of Avataaars). Captions: Apache-2.0."
CREDIT = ("Avataaars by Pablo Stanley, https://avataaars.com/, in the form of the style avataaars of DiceBear "
          "(a remix of the original)")

CARD = """# faces

{count:,} drawn faces of {size} x {size} pixels with five captions each: {splits}. The split test has combinations
that train and val never show (`held_out` in dataset.json). Made by `python -m examples.faces` of Limner, seed {seed}.

**Art.** {credit}. The designer's terms: free for personal and commercial use.
**Captions and attributes.** Written by Limner's grammar, Apache-2.0.

Captions and attributes describe what is drawn: hair, headwear, glasses, facial hair, eyes, mouth, clothes and their
colours, in some captions the background. Captions do not speak of skin, age, gender or origin; every part is drawn by
lot, and the skin is independent of all of them, but that brown hair is never on dark skin (the two colours are nearly
one) and facial hair never under a headscarf (the art would lay it over the cloth).
"""


def face_record(face: Face, *, seed: int, split: str, index: int, file_name: str) -> Record:
    """The line of metadata.jsonl for a face."""
    captions = captions_of(face.attributes, stream(seed, f"faces/captions/{split}", index))
    return Record(file_name=file_name, captions=captions, label=label_of(face.attributes),
                  attributes=face.attributes, split=split)


def write_faces(out: Path, drawings: Iterator[np.ndarray], *, counts: dict[str, int], size: int, seed: int,
                made_with: dict[str, str], progress: Progress | None = None) -> Path:
    """Writes the folder from drawings uint8 (size, size, 3) in the order of ``faces_of``."""

    def draw(split: str, index: int, file_name: str) -> tuple[np.ndarray, Record]:
        face = sample_face(seed, split, index)
        return next(drawings), face_record(face, seed=seed, split=split, index=index, file_name=file_name)

    info: dict[str, Any] = {
        "name": "faces",
        "description": "Drawn faces with captions that say what is drawn.",
        "licence": LICENCE,
        "credit": CREDIT,
        "size": size,
        "seed": seed,
        "made_with": made_with,
        "caption_attributes": list(CAPTION_ATTRIBUTES),
        "held_out": {", ".join(names): sorted(map(list, pairs)) for names, pairs in HELD_OUT.items()},
    }
    write_generated(out, draw, counts=counts, info=info, progress=progress)
    splits = ", ".join(f"{number:,} {split}" for split, number in counts.items())
    write_text(out / "README.md", CARD.format(count=sum(counts.values()), size=size, splits=splits, seed=seed,
                                              credit=CREDIT))
    return out


def faces_of(counts: dict[str, int], seed: int) -> Iterator[Face]:
    """All faces of a folder in its order: train, val, test."""
    for split in ("train", "val", "test"):
        for index in range(counts[split]):
            yield sample_face(seed, split, index)


def drawn(faces: Iterator[Face], *, size: int, tools: Path) -> Iterator[np.ndarray]:
    """Has Node draw faces: uint8 (size, size, 3) each. Raises LimnerError if Node fails."""
    with tempfile.TemporaryDirectory() as folder:
        options = Path(folder) / "faces.jsonl"
        with options.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(face.art) + "\n" for face in faces)
        node = subprocess.Popen(["node", "draw.mjs", str(size), str(options)], cwd=tools, stdout=subprocess.PIPE)
        assert node.stdout is not None
        try:
            while pixels := node.stdout.read(size * size * 4):
                yield np.frombuffer(pixels, np.uint8).reshape(size, size, 4)[..., :3]
            if node.wait():
                raise LimnerError(f"node stopped with status {node.returncode}; its words stand above.")
        finally:
            node.kill()
            node.wait()


def installed(tools: Path) -> dict[str, str]:
    """Puts draw.mjs and its packages into a folder, if they are not there, and returns their versions."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise LimnerError(f"{program} is not here: the pictures are drawn with Node.js 18 or later. Install it.")
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "draw.mjs"):
        shutil.copyfile(HERE / name, tools / name)
    if not (tools / "node_modules").is_dir() and subprocess.run(["npm", "install", "--no-fund"], cwd=tools).returncode:
        raise LimnerError(f"npm install failed in {tools}; its words stand above.")
    return {package: json.loads((tools / "node_modules" / package / "package.json").read_text())["version"]
            for package in PACKAGES}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.faces", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument("--count", type=int, default=20_000, help="pictures in all splits together (default 20000)")
    parser.add_argument("--size", type=int, choices=SIZES, default=64, help="side in pixels (default 64)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tools", type=Path, default=Path("faces-tools"), metavar="DIR",
                        help="where npm installs what draws the pictures (default faces-tools)")
    arguments = parser.parse_args()
    try:
        counts = split_counts(arguments.count)
        made_with = installed(arguments.tools)
        drawings = drawn(faces_of(counts, arguments.seed), size=arguments.size, tools=arguments.tools)
        with progress() as bar:
            print(write_faces(arguments.out, drawings, counts=counts, size=arguments.size, seed=arguments.seed,
                              made_with=made_with, progress=bar))
    except LimnerError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
