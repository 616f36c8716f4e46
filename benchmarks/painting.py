"""Painting: time of one picture, rate of many, and the whole command from a cold start. Prints JSON.

    python benchmarks/painting.py [--model BUNDLE] [--threads N] [--rounds 30] [--json FILE]

Without ``--model`` the painters are those of presets with fresh weights; their speed is that of trained ones.

``ours`` is the painter as ``limner.load`` gives it: text encoder, noise, generator in float32 channels-last, 8-bit
pixels, always 16 rows at a time so that a picture's bits do not depend on its company. ``straight`` is the plain port:
text encoder once, noise, the same generator in float32 NCHW at the size that is wanted, 8-bit pixels. ``ours, one row``
is ours without filling up, to show what the fixed rows cost; ``ours, bf16`` what ``--precision bf16`` does; its pixels
are compared with those of float32. ``cold`` is ``limner paint`` in a new process, with what ``import torch`` alone
takes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner.config import from_json, to_json
from limner.data.batch import as_uint8
from limner.data.pictures import PictureSet
from limner.data.shapes import shapes_arrays
from limner.matching.stage import MatchingStage
from limner.systems.gan_cls.build import build_generator
from limner.systems.gan_cls.config import GanClsConfig
from limner.systems.gan_cls.painter import GanClsPainter
from limner.systems.gan_cls.presets import PRESETS
from limner.systems.protocol import Request
from limner.training.bundle_folder import BundleFolder, read_bundle, write_bundle
from limner.training.stage import Components, weights_of
from straight import plain_generator
from turns import by_turns, conditions, in_bf16, report

CAPTION = "a small red ring above two blue stars"
FRESH = ("shapes-gan-cls", "gan-cls-birds")
# The peak of this program alone: ru_maxrss would also count the process that started it, before it became this one.
PEAK = """
import pathlib, re, sys
status = pathlib.Path("/proc/self/status")
peak = re.search(r"VmHWM:\\s*(\\d+)", status.read_text()) if status.exists() else None
print(int(peak[1]) // 1024 if peak else -1, file=sys.stderr)
"""


class _Shapes:
    """A corpus in memory, from which a fresh text encoder takes its words."""

    info: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.pictures = PictureSet.from_arrays(*shapes_arrays(64, size=64))

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def split(self, name: str) -> PictureSet:
        return self.pictures


def fresh_bundle(preset: str) -> BundleFolder:
    """A painter of a preset with first weights."""
    config = PRESETS[preset]()
    stage = MatchingStage(config.matching, _Shapes(), 0)  # type: ignore[arg-type]
    components = stage.components(stage.modules) | Components({"generator": weights_of(build_generator(config))})
    painter = GanClsPainter(config, components)
    return BundleFolder("gan-cls", to_json(config), painter.components(), {"name": preset})


def measure(bundle: BundleFolder, *, rounds: int) -> dict[str, Any]:
    """Milliseconds of one picture and pictures per second of sixteen, by turns."""
    config = from_json(GanClsConfig, bundle.config)
    painter = GanClsPainter(config, bundle.components)
    plain = plain_generator(config).eval()
    plain.load_state_dict(bundle.components.weights["generator"])
    requests = [Request(CAPTION, seed, 0) for seed in range(16)]

    @torch.inference_mode()
    def straight(count: int) -> object:
        tokens = torch.from_numpy(painter.tokeniser.encode([CAPTION]))
        text = painter.text_encoder(tokens).expand(count, -1)
        return as_uint8(plain(torch.randn(count, config.gan.noise_size), text)).permute(0, 2, 3, 1).numpy()

    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: painter.paint(requests[:1]), "ours, one row": lambda: painter._paint_rows(requests[:1]),
        "ours, bf16": lambda: in_bf16(painter.paint, requests[:1]), "straight": lambda: straight(1),
    }
    one = by_turns(calls, rounds=rounds)
    many = by_turns({"ours": lambda: painter.paint(requests), "ours, bf16": lambda: in_bf16(painter.paint, requests),
                     "straight": lambda: straight(16)}, rounds=rounds)
    exact, rough = painter.paint(requests), in_bf16(painter.paint, requests)
    levels = np.abs(np.stack([a.image.astype(int) - b.image for a, b in zip(exact, rough, strict=True)]))
    return {"bf16 differs by levels of 255": {"mean": round(float(levels.mean()), 2), "most": int(levels.max())},
            "one picture, ms": {name: round(1e3 * value, 2) for name, value in one.items()},
            "sixteen, pictures per second": {name: round(16 / value) for name, value in many.items()},
            "sixteen, times as fast as straight": round(many["straight"] / many["ours"], 2)}


def measure_cold(model: Path | None, *, rounds: int) -> dict[str, Any]:
    """Wall seconds and peak memory (MiB; -1 where the system does not tell) of new processes, by turns."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = model or Path(scratch) / FRESH[0]
        if model is None:
            write_bundle(folder, fresh_bundle(FRESH[0]), half=True)
        arguments = ["paint", CAPTION, "--model", str(folder), "--out"]
        programs = {
            "python alone": "", "import numpy": "import numpy", "import torch": "import torch",
            "limner paint": f"from limner.cli import main\nmain({arguments} + [OUT])",
        }
        found: dict[str, list[tuple[float, int]]] = {name: [] for name in programs}
        for number in range(rounds + 1):
            for name, program in programs.items():
                out = f"OUT = {str(Path(scratch) / f'{number}.png')!r}\n"
                start = time.perf_counter()
                child = subprocess.run([sys.executable, "-c", out + program + PEAK], capture_output=True, text=True,
                                       check=True)
                found[name].append((time.perf_counter() - start, int(child.stderr.split()[-1])))
    return {name: {"seconds": round(statistics.median(seconds for seconds, _ in values[1:]), 2),
                   "peak_mb": round(statistics.median(peak for _, peak in values[1:]))}
            for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a bundle (default: presets with fresh weights)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--rounds", type=int, default=30, help="turns that are counted")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--preset", action="append", choices=sorted(PRESETS), help="instead of the usual two")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.model:
        bundles = {arguments.model.name: read_bundle(arguments.model)}
    else:
        bundles = {preset: fresh_bundle(preset) for preset in arguments.preset or FRESH}
    result: dict[str, Any] = {"conditions": conditions()}
    result["painters"] = {name: measure(bundle, rounds=arguments.rounds) for name, bundle in bundles.items()}
    result["cold"] = measure_cold(arguments.model, rounds=max(1, arguments.rounds // 6))
    report(result, arguments.json)


if __name__ == "__main__":
    main()
