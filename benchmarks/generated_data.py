"""How fast the built-in data set ``shapes`` is made, on one core: PNG folder and arrays. Prints JSON.

    python benchmarks/generated_data.py [COUNT]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from limner.data.shapes import make_shapes, shapes_arrays


def main(count: int) -> None:
    results = []
    for size in (32, 64, 128, 256):
        for objects in ("1", "mixed"):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                make_shapes(Path(folder) / "shapes", count=count, size=size, objects=objects)
                to_disk = time.perf_counter() - start
                stored = sum(file.stat().st_size for file in Path(folder).rglob("*.png"))
            start = time.perf_counter()
            shapes_arrays(count, size=size, objects=objects)
            in_memory = time.perf_counter() - start
            results.append({
                "size": size, "objects": objects,
                "pictures_per_minute_png": round(60 * count / to_disk),
                "pictures_per_minute_arrays": round(60 * count / in_memory),
                "bytes_per_png": round(stored / count),
            })
    print(json.dumps({"count": count, "workers": 1, "results": results}, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
