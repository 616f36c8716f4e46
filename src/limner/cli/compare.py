"""limner compare: the same captions and seed through several painters."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.terminal import captions_in, progress, say

if TYPE_CHECKING:
    from limner.painting.compare import Comparison

_EXAMPLES = """\
examples:
  limner compare "a small red ring at the top"                        all painters that come with Limner
  limner compare "a red bird" --models runs/* --seed 7 --out birds.png
  limner compare "a red bird" "a blue bird" --models runs/old runs/new shapes-gan-cls
  limner compare --captions list.txt --models runs/* --seed 0-3       a row for each caption and seed
  limner compare "a red bird" --models runs/* --json                  all that is known, as one JSON object

Latency is the time of one picture painted alone, the median of five after all pictures of the comparison.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "compare", parents=[common], help="paint the same captions with several painters, side by side",
        epilog=_EXAMPLES, description="Paints the same captions with the same seed by several painters: one picture "
        "with a row for each caption and a column for each painter, and a table.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", metavar="CAPTION", help="what to paint")
    parser.add_argument("--captions", type=Path, metavar="FILE",
                        help="a text file with more captions, one a line (empty lines are passed over)")
    parser.add_argument("--models", nargs="+", action="extend", default=[], metavar="NAME|FOLDER",
                        help="packaged painters, bundle folders or run folders (default: all packaged painters); "
                             "put the captions before it")
    parser.add_argument("--seed", default="0", metavar="N", help="seed, or several such as 0,1,4-6 (default 0)")
    parser.add_argument("--out", default="comparison.png", metavar="FILE",
                        help="PNG to write (default comparison.png)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default auto: a GPU if there is one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from limner.painting.compare import compare, save_comparison
    from limner.painting.png import png_path
    from limner.painting.requests import parsed_seeds

    png_path(arguments.out)
    captions = [*arguments.texts, *captions_in(arguments.captions)]
    with progress() as bar:
        comparison = compare(captions, arguments.models, seeds=parsed_seeds(arguments.seed), device=arguments.device,
                             progress=bar)
    for column in comparison.columns:
        for warning in dict.fromkeys(f'"{painting.caption}": {warning}' for painting in column.paintings
                                     for warning in painting.warnings):
            say(f"warning: {column.label}: {warning}")
    path = save_comparison(arguments.out, comparison)
    if arguments.json:
        print(json.dumps({"file": str(path), **comparison.to_json()}))
        return
    _print_table(comparison)
    print(path)


def _print_table(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    from limner.painting.compare import in_milliseconds

    table = Table()
    for title in ("painter", "system", "preset"):
        table.add_column(title, overflow="fold")
    for title in ("images shown", "size", "picture", "latency"):
        table.add_column(title, justify="right", no_wrap=True)
    for column in comparison.columns:
        info, images = column.bundle.info, column.bundle.info.get("images")
        table.add_row(column.label, column.bundle.system, str(info.get("preset", "-")),
                      f"{images:,}" if isinstance(images, int) else "-", f"{column.bundle.size / 1e6:.1f} MB",
                      "x".join(map(str, column.size)), in_milliseconds(column.latency))
    Console().print(table)
