"""Runs the benchmarks one after the other and prints docs/benchmarks.md's tables.

    python benchmarks/run_all.py [--threads 1] [--model BUNDLE]

Results go to benchmarks/results/*.json. Takes about three minutes on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def run(name: str, *options: str, threads: int) -> dict[str, Any]:
    """One benchmark in a process of its own; its JSON from stdout, also left in the results."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    child = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *options], stdout=subprocess.PIPE, text=True,
                           check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(child.stdout, encoding="utf-8")
    return json.loads(child.stdout)


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def training_tables(result: dict[str, Any]) -> list[str]:
    paper = result["paper"]
    rows = [[name, paper["step_ms"][name], paper["images_per_second"][name], paper["times as fast as straight"][name]]
            for name in paper["step_ms"]]
    improved = [[preset, precision, figures["step_ms"][precision], figures["images_per_second"][precision]]
                for preset, figures in result.items() if preset not in ("conditions", "paper")
                for precision in figures["step_ms"]]
    title = f"GAN-INT-CLS, ngf {paper['ngf']}, ndf {paper['ndf']}, batch {paper['batch']}"
    return [table([title, "step, ms", "images/s", "times as fast"], rows),
            table(["improved preset", "precision", "step, ms", "images/s"], improved)]


def painting_tables(result: dict[str, Any]) -> list[str]:
    rows = []
    for painter, figures in result["painters"].items():
        one, many = figures["one picture, ms"], figures["sixteen, pictures per second"]
        rows.append([painter, one["ours"], one["ours, one row"], one["straight"], many["ours"], many["straight"],
                     figures["sixteen, times as fast as straight"]])
    cold = [[name, figures["seconds"], figures["peak_mb"]] for name, figures in result["cold"].items()]
    return [table(["painter", "one picture, ms", "without filling up", "straight", "sixteen: pictures/s", "straight",
                   "times as fast"], rows),
            table(["new process", "seconds", "peak MiB"], cold)]


def loader_tables(result: dict[str, Any]) -> list[str]:
    rows = [[line["plan"], line["cached"], line["decoded"], line["ratio"]] for line in result["results"]]
    return [table(["loader, images/s", "cached", "decoded in every step", "ratio"], rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--model", help="folder of a bundle to paint with (default: fresh weights)")
    arguments = parser.parse_args()
    model = ["--model", arguments.model] if arguments.model else []
    training = run("training_step", threads=arguments.threads)
    conditions = ", ".join(f"{name} {value}" for name, value in training["conditions"].items())
    parts = [f"Conditions: {conditions}.\n", *training_tables(training),
             *painting_tables(run("painting", *model, threads=arguments.threads)),
             *loader_tables(run("loader", threads=1))]
    print("\n".join(parts))


if __name__ == "__main__":
    main()
