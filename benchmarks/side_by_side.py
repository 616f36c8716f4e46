"""Presets trained on the same data with the same number of images, then judged alike. Prints JSON.

    python benchmarks/side_by_side.py DATA --out RUNS [--presets NAME ...] [--images 30000] [--matching-images 40000]
        [--samples 500] [--judge RUN] [--oracle FIELD=VALUE ...] [--threads N] [--json FILE]

Every preset's first stage, which learns what captions mean, is shown ``--matching-images`` pictures, and each of its
painting stages ``--images`` (``limner train PRESET DATA --set STAGE.schedule.images=N``); then ``limner evaluate``
measures what the results table of docs/systems.md shows. The runs stay in RUNS; called again, it goes on with those
that are not finished. ``--judge`` names a run whose matching model judges R-precision, best one that no preset was
trained with; without it there is no R-precision. Some presets paint pictures of 128 pixels: DATA should have them so
large.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from turns import conditions, report

PRESETS = ["shapes-gan-cls-paper", "shapes-gan-cls", "stackgan-shapes-paper", "stackgan-shapes",
           "attngan-shapes-paper", "attngan-shapes"]
MATCHING = {"matching", "text", "damsm"}
"""What the configurations of the systems call their first stage."""
METRICS = ["faithfulness", "diversity", "fd-oracle", "timing"]


def limner(*words: str | Path, threads: int) -> str:
    """What a ``limner`` command prints; its messages pass through. Ends with it where it fails, for it says why."""
    child = subprocess.run([sys.executable, "-m", "limner", *map(str, words)], stdout=subprocess.PIPE, text=True,
                           check=False, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    if child.returncode:
        sys.exit(child.returncode)
    return child.stdout


def train(preset: str, options: argparse.Namespace) -> Path:
    """The run of a preset, trained to its end."""
    run = options.out / preset
    words = ["train", preset, options.data]
    if options.debug:
        words.append("--debug")
    fields = json.loads(limner(*words, "--dry-run", threads=options.threads))["config"]
    for name in (name for name, field in fields.items() if isinstance(field, dict) and "schedule" in field):
        images = options.matching_images if name in MATCHING else options.images
        words += ["--set", f"{name}.schedule.images={images}"]
    words += ["--threads", str(options.threads), "--out", run]
    if (run / "config.json").is_file():
        words.append("--resume")
    limner(*words, threads=options.threads)
    return run


def training_seconds(run: Path) -> float:
    """Of all stages together, from their log."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return sum({line["stage"]: line["seconds"] for line in lines}.values())


def judged(run: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A row of the table."""
    metrics = METRICS + (["r-precision-judge"] if options.judge else [])
    judge = ["--judge", options.judge] if options.judge else []
    printed = limner("evaluate", run, "--data", options.data, "--metrics", ",".join(metrics), "--samples",
                     str(options.samples), "--json", *judge,
                     *(word for item in options.oracle for word in ("--oracle", item)), threads=options.threads)
    found = json.loads(printed)["metrics"]
    faithful = found["faithfulness"]
    row = {name: round(100 * each["accuracy"], 1) for name, each in faithful["attributes"].items()}
    row |= {"all right": round(100 * faithful["all_attributes"]["accuracy"], 1),
            "ceiling": round(100 * faithful["all_attributes"]["ceiling"], 1),
            "fd-oracle": round(found["fd-oracle"]["value"], 1),
            "pictures per second": round(found["timing"]["pictures_per_second"], 1),
            "megabytes": round(sum(file.stat().st_size for file in (run / "painter").iterdir()) / 1e6, 1),
            "training minutes": round(training_seconds(run) / 60, 1)}
    if found["diversity"].get("diversity_ratio") is not None:
        row["diversity"] = round(found["diversity"]["diversity_ratio"], 2)
    if options.judge:
        row["r-precision"] = round(100 * found["r-precision-judge"]["value"], 1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--images", type=int, default=30_000)
    parser.add_argument("--matching-images", type=int, default=40_000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--oracle", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--debug", action="store_true", help="the presets' small forms, to try the script")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"conditions": conditions(), "data": options.data.name, "images a stage": options.images,
                              "images of the matching stage": options.matching_images,
                              "samples": options.samples, "presets": {}}
    for preset in options.presets:
        result["presets"][preset] = judged(train(preset, options), options)
        print(preset, result["presets"][preset], file=sys.stderr, flush=True)
    report(result, options.json)


if __name__ == "__main__":
    main()
