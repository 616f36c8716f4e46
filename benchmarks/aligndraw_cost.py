"""What a training pass of aligndraw-digits costs as steps, canvas and captions grow, as figures and as a plot.

    python benchmarks/aligndraw_cost.py --threads 1 --picture docs/pictures/aligndraw-cost.png

Seconds are those of the processor, not of the clock: other programs hardly change them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from limner.nn.initialisation import seeded_initialisation
from limner.systems.aligndraw.drawing import bound, reconstruct
from limner.systems.aligndraw.networks import Generator, Recognition
from limner.systems.aligndraw.presets import aligndraw_digits
from turns import conditions, report

GRIDS = {"steps": (4, 8, 16, 32, 64), "side": (20, 40, 60, 90, 120), "words": (5, 11, 22, 44)}
TITLES = {"steps": "drawing steps", "side": "side of the canvas, pixels", "words": "words of the caption"}
PANEL, GAP, INK, LINE = (300, 240), 24, (40, 40, 40), (176, 58, 46)


def seconds(*, rows: int, rounds: int, steps: int, side: int, words: int) -> float:
    """Processor seconds of one forward and backward pass of ``rows`` pictures, the median of several."""
    config = aligndraw_digits()
    drawing = replace(config.drawing, steps=steps, image_size=side)
    with seeded_initialisation(0, "benchmark"):
        generator = Generator(drawing, config.captions, words=23)
        recognition = Recognition(drawing, learned_start=True)
        pictures = torch.rand(rows, 1, side, side)
        tokens, noise = torch.randint(0, 23, (rows, words)), torch.randn(steps, rows, drawing.latent)
    taken = []
    for _ in range(rounds + 1):
        start = time.process_time()
        read = generator.read_captions(tokens, torch.full((rows,), words))
        bound(pictures, reconstruct(generator, recognition, pictures, read, noise)).cost.mean().backward()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def measure(*, rows: int, rounds: int, grids: dict[str, Sequence[int]]) -> dict[str, dict[int, float]]:
    """Milliseconds a picture; what does not vary is as in the preset (32 steps, 60 x 60, 11 words)."""
    usual = {"steps": 32, "side": 60, "words": 11}
    return {name: {value: round(1000 * seconds(rows=rows, rounds=rounds, **{**usual, name: value}) / rows, 2)
                   for value in values} for name, values in grids.items()}


def plot(result: dict[str, dict[int, float]]) -> Image.Image:
    """Three panels side by side with one scale of milliseconds, both axes from 0."""
    width, height = PANEL
    top = max(max(curve.values()) for curve in result.values())
    canvas = Image.new("RGB", ((width + GAP) * len(result) + GAP, height + 3 * GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for number, (name, curve) in enumerate(result.items()):
        left, right, floor = GAP + (width + GAP) * number + 30, (width + GAP) * (number + 1), height + GAP
        scale_x, scale_y = (right - left - 12) / max(curve), (height - GAP) / top
        places = [(left + value * scale_x, floor - cost * scale_y) for value, cost in curve.items()]
        draw.line([(left, GAP), (left, floor), (right, floor)], INK)
        draw.line(places, LINE, 2)
        for (value, cost), (x, y) in zip(curve.items(), places, strict=True):
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=LINE)
            draw.text((x, y - 6), f"{cost:.1f}", INK, font, anchor="md")
            draw.text((x, floor + 4), str(value), INK, font, anchor="ma")
        draw.text((left - 5, floor), "0", INK, font, anchor="rs")
        draw.text(((left + right) / 2, floor + 22), TITLES[name], INK, font, anchor="ma")
        draw.text((left, GAP - 6), "ms a picture" if number == 0 else "", INK, font, anchor="ls")
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smallest", action="store_true", help="two points a curve: to see that it runs")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--picture", type=Path, help="write the plot to this PNG")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    grids = {"steps": (1, 2), "side": (16, 20), "words": (1, 2)} if arguments.smallest else GRIDS
    result = measure(rows=arguments.rows, rounds=arguments.rounds, grids=grids)
    report({"conditions": conditions(), "rows": arguments.rows, "milliseconds a picture": result}, arguments.json)
    if arguments.picture:
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        plot(result).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
