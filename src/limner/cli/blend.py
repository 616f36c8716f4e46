"""limner blend: the pictures between two captions or two noises."""

from __future__ import annotations

import argparse
from typing import Any

from limner.cli.terminal import progress, say

_EXAMPLES = """\
examples:
  limner blend "a small red ring" "a large blue star" --out strip.png        eight pictures from one to the other
  limner blend "a red ring" "a blue star" --steps 24 --gif blend.gif
  limner blend "a small red ring" --seed 1 --to-seed 2                       the caption stays, the noise goes over
  limner blend "a red bird" "a blue bird" --to-seed 5 --model runs/birds     both at once
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "blend", parents=[common], help="paint the way from one caption or noise to another", epilog=_EXAMPLES,
        description="Paints a strip of pictures from one caption to another, from one noise to another, or both.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("caption", metavar="CAPTION", help="caption of the first picture")
    parser.add_argument("other", nargs="?", metavar="CAPTION", help="caption of the last picture (default: the first)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="noise of the first picture (default 0)")
    parser.add_argument("--to-seed", type=int, metavar="N", help="noise of the last picture (default: the first's)")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="pictures, both ends included (default 8)")
    parser.add_argument("--model", metavar="NAME|FOLDER", help="the painter, as for limner paint")
    parser.add_argument("--out", default="blend.png", metavar="FILE", help="PNG of the strip (default blend.png)")
    parser.add_argument("--gif", metavar="FILE", help="also write the pictures as a GIF")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default auto: a GPU if there is one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from limner.painting.blend import blend_requests
    from limner.painting.bundle import DEFAULT
    from limner.painting.painter import load
    from limner.painting.png import png_path
    from limner.painting.sheet import check_grid, save_gif, save_grid

    requests = blend_requests(arguments.caption, arguments.other, seed=arguments.seed, to_seed=arguments.to_seed,
                              steps=arguments.steps)
    check_grid(len(requests))
    png_path(arguments.out)
    painter = load(arguments.model or DEFAULT, device=arguments.device)
    paintings = []
    with progress() as report:
        for painting in painter.paint(requests):
            paintings.append(painting)
            report("painting", len(paintings), len(requests))
    for warning in paintings[0].warnings:
        say(f"warning: {warning}")
    ends = [arguments.caption, *filter(None, [arguments.other])]
    print(save_grid(arguments.out, paintings, columns=len(paintings), labels=[" -> ".join(ends)]))
    if arguments.gif:
        print(save_gif(arguments.gif, [painting.image for painting in paintings]))
