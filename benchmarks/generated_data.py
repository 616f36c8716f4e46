"""How fast the built-in data set ``shapes`` is made by one process: PNG folder and arrays. Prints JSON.

    python benchmarks/generated_data.py [COUNT]

``per_minute`` counts by the clock, ``per_cpu_minute`` by the processor time of this process (kernel included): the
two differ where other programs compete for the cores or the disk.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limner.data.shapes import make_shapes, shapes_arrays


def rates(count: int, make: Callable[[], Any]) -> dict[str, int]:
    """Pictures per minute of one call that makes ``count`` pictures."""
    clock, processor = time.perf_counter(), time.process_time()
    make()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return {"per_minute": round(60 * count / clock), "per_cpu_minute": round(60 * count / processor)}


def measure(count: int, size: int, objects: Any) -> dict[str, Any]:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "shapes"
        png = rates(count, lambda: make_shapes(folder, count=count, size=size, objects=objects))
        stored = sum(file.stat().st_size for file in folder.rglob("*.png"))
    arrays = rates(count, lambda: shapes_arrays(count, size=size, objects=objects))
    return {"size": size, "objects": objects, "png": png, "arrays": arrays, "bytes_per_png": round(stored / count)}


def main(count: int) -> None:
    results = [measure(count, size, objects) for size in (32, 64, 128, 256) for objects in ("1", "mixed")]
    print(json.dumps({"count": count, "workers": 1, "results": results}, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
