"""Pictures per second of the loader: from the cache, against decoding in every step. Prints JSON and a table.

    python benchmarks/loader.py [COUNT]

COUNT JPEG files of 256 x 256 generated pictures. Both sides make the same batches of the GAN-CLS kind (64 px out of
76, mirrored at random, with a second picture of another class for every row), on one core; the best of several
rounds counts. ``decoded`` is what a loader without a cache does: open, decode whole, resize, cut, mirror.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.data.batch import BatchPlan
from limner.data.loader import Loader
from limner.data.pictures import PictureSet, open_corpus
from limner.data.shapes import shapes_arrays

PLAN = BatchPlan(64, 64, scale_size=76, crop_offset_low=1, flip=True, wrong_images=True)
PLAIN = BatchPlan(64, 64)
ROUNDS = 5


def write_pictures(root: Path, count: int) -> None:
    images, records = shapes_arrays(count, size=256)
    with (root / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
        for index, (image, record) in enumerate(zip(images, records, strict=True)):
            Image.fromarray(image).save(root / f"{index}.jpg", quality=90)
            line = {"file_name": f"{index}.jpg", "text": list(record.captions), "label": index % 20}
            metadata.write(json.dumps(line) + "\n")


def decode(root: Path, pictures: PictureSet, indices: torch.Tensor, plan: BatchPlan,
           random: np.random.Generator) -> torch.Tensor:
    """A batch straight from the files."""
    rows = []
    for index in indices.tolist():
        side = plan.scale_size or plan.image_size
        with Image.open(root / pictures.records[index].file_name) as file:
            image = np.asarray(file.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
        top, left = random.integers(0, side - plan.image_size, size=2, endpoint=True)
        image = image[top:top + plan.image_size, left:left + plan.image_size]
        rows.append(torch.from_numpy(np.array(image[:, ::-1] if random.random() < 0.5 else image)))
    return torch.stack(rows).permute(0, 3, 1, 2)


def best_rate(make: Callable[[int], Any], images: int, seconds: float) -> float:
    """Images per second of the best round; ``make(step)`` makes ``images`` of them."""
    best = 0.0
    for number in range(ROUNDS):
        started, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - started < seconds:
            make(number * 1000 + steps)
            steps += 1
        best = max(best, steps * images / (time.perf_counter() - started))
    return best


def measure(root: Path, pictures: PictureSet, name: str, plan: BatchPlan) -> dict[str, Any]:
    loader = Loader(pictures, plan, 0)
    images = plan.batch_size * (2 if plan.wrong_images else 1)
    random = np.random.default_rng(0)

    def from_files(step: int) -> None:
        batch = loader.batch(step)
        decode(root, pictures, batch.indices, plan, random)
        if plan.wrong_images:
            decode(root, pictures, batch.indices, plan, random)

    cached = best_rate(loader.batch, images, 0.5)
    decoded = best_rate(from_files, images, 0.5)
    return {"plan": name, "cached": round(cached), "decoded": round(decoded), "ratio": round(cached / decoded, 1)}


def main(count: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        write_pictures(root, count)
        pictures = open_corpus(root).split("train")
        started = time.perf_counter()
        pictures.pixels(76)
        build = count / (time.perf_counter() - started)
        results = [measure(root, pictures, "64 px, no crop", PLAIN),
                   measure(root, pictures, "64 of 76 px, mirrored, wrong images", PLAN)]
    print(json.dumps({"count": count, "processor": platform.processor() or platform.machine(),
                      "cache_build_images_per_second": round(build), "results": results}, indent=1))
    print(f"{'images per second':40s} {'cached':>9s} {'decoded':>9s} {'ratio':>7s}", file=sys.stderr)
    for line in results:
        print(f"{line['plan']:40s} {line['cached']:9d} {line['decoded']:9d} {line['ratio']:7.1f}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
