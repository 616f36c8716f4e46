"""What it brings to record training steps as CUDA graphs: milliseconds a step as usual and replayed, by turns.

    python benchmarks/recorded_steps.py --preset attngan-shapes --preset stackgan-shapes

Earlier stages are left untrained. Without a CUDA GPU nothing is recorded, and only the usual steps are timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.systems import find_preset
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.graphs import StepRecorder
from limner.training.settings import RunSettings
from limner.training.stage import Components, Stage
from turns import by_turns, conditions, report

PRESETS = ["shapes-gan-cls", "faces-gan-cls", "stackgan-shapes", "attngan-shapes", "attngan-birds-64"]
BATCHES = 4
WARM_UP = 30
"""Turns: as many as a step with a gradient penalty, every eighth, needs to be recorded."""


def steps_of(stage: Stage, corpus: Corpus, fabric: Fabric, recorder: StepRecorder | None) -> Callable[[], object]:
    """A function that takes the next step and waits for its end."""
    loader, number = Loader(corpus.split("train"), stage.plan, 0), 0
    batches = [loader.batch(index).to(fabric.device) for index in range(BATCHES)]

    def step() -> object:
        nonlocal number
        context = LoopContext(fabric, 0, "benchmark", number, number, 10**6, recorder=recorder)
        number += 1
        losses = stage.step(batches[number % BATCHES], context)
        return sum(value.item() for value in losses.values())

    return step


def measure(preset: str, corpus: Corpus, fabric: Fabric, *, rounds: int) -> dict[str, Any]:
    """Milliseconds of the steps of every adversarial stage."""
    system, name = find_preset(preset)
    config, components, result = system.presets[name](), Components(), {}
    on_gpu = fabric.device.type == "cuda"
    for stage_name in system.stage_names(config):
        calls = {}
        for kind in ("usual", "recorded") if on_gpu else ("usual",):
            stage = system.build_stage(stage_name, config, corpus, components.to(fabric.device), 0)
            for module in stage.modules.values():
                module.to(fabric.device)
            calls[kind] = steps_of(stage, corpus, fabric, StepRecorder() if kind == "recorded" else None)
        components = components | stage.components(stage.modules)
        if stage_name in {"text-encoder", "damsm"}:
            continue
        seconds = by_turns(calls, rounds=rounds, warm_up=WARM_UP if on_gpu else 1)
        result[stage_name] = {"batch": stage.plan.batch_size,
                              "step, ms": {kind: round(1000 * each, 2) for kind, each in seconds.items()}}
        if on_gpu:
            result[stage_name]["times as fast"] = round(seconds["usual"] / seconds["recorded"], 2)
            result[stage_name]["memory, MiB"] = torch.cuda.max_memory_allocated() // 2**20
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", help=f"once or more; default: {', '.join(PRESETS)}")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--precision", choices=["auto", "32", "bf16"], default="auto")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    fabric = launch(RunSettings(device="auto", precision=arguments.precision))
    corpus = Corpus({split: PictureSet.from_arrays(*shapes_arrays(256, size=64, split=split))
                     for split in ("train", "val")})
    result: dict[str, Any] = {"conditions": conditions(), "device": (
        torch.cuda.get_device_name() if fabric.device.type == "cuda" else "cpu")}
    for preset in arguments.preset or PRESETS:
        result[preset] = measure(preset, corpus, fabric, rounds=arguments.rounds)
    report(result, arguments.json)


if __name__ == "__main__":
    main()
