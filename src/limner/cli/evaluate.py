"""limner evaluate: measures a painter against captioned pictures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from limner.cli.terminal import inputs_of, parsed_value, progress, say
from limner.errors import LimnerError
from limner.evaluation.metrics import metric_names
from limner.precision import PRECISIONS

_EXAMPLES = """\
examples:
  limner evaluate runs/birds --data my-birds/
  limner evaluate shapes-gan-cls --data shapes/ --samples 500 --grid verdicts.png
  limner evaluate runs/birds --data my-birds/ --judge runs/birds-seed-1 --html birds.html
  limner evaluate runs/birds --data my-birds/ --inception pt_inception-2015-12-05-6726825d.pth
  limner evaluate runs/birds --data my-birds/ --metrics faithfulness,diversity --json > scores.json
  limner evaluate runs/faces --data faces/ --captions any        short and casual captions as well

Without --metrics everything is measured that the data and the painter allow; the rest is named, with what it needs.
Faithfulness and diversity need pictures with attributes: an oracle, a small classifier trained on the real pictures of
FOLDER, says what a painting shows. It takes some minutes to train the first time and is kept in FOLDER/.limner-cache.
docs/evaluation.md says what every metric measures and how.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "evaluate", parents=[common], help="measure a painter by named protocols", epilog=_EXAMPLES,
        description="Paints captions of pictures that were held out and measures the paintings, each metric by the "
                    "protocol that it is named after.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a packaged painter, a bundle folder or a run folder")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="captioned pictures")
    parser.add_argument("--metrics", metavar="NAME,...",
                        help=f"what to measure: {', '.join(metric_names())} (default: all that is possible)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test",
                        help="whose captions are painted (default test)")
    parser.add_argument("--captions", choices=("first", "any"), default="first",
                        help="which caption of a picture is painted: its first, or one drawn from all it has (default "
                             "first, which faithfulness and diversity need)")
    parser.add_argument("--stage", metavar="NAME",
                        help="judge an earlier picture of every painting: the sketch of StackGAN (sketch), a smaller "
                             "picture of AttnGAN (64 ...)")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE",
                        help="an extra input of all paintings that the system honours, as limner paint takes it")
    parser.add_argument("--samples", type=int, metavar="N", default=2000,
                        help="captions to paint (default 2000, or all if there are fewer)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="seed of the captions chosen and of the paintings (default 0)")
    parser.add_argument("--device", help="cpu, cuda ... (default: a GPU if there is one)")
    parser.add_argument("--precision", choices=PRECISIONS, default="32",
                        help="of the painter: 32, bf16, or auto, bf16 where it is faster (default 32)")
    parser.add_argument("--oracle", action="append", default=[], metavar="FIELD=VALUE",
                        help="change a setting of the oracle (steps, size, width ...); may be repeated")
    parser.add_argument("--judge", type=Path, metavar="RUN",
                        help="another run, whose matching model judges (the metrics with judge in their name)")
    parser.add_argument("--pretrained", type=Path, metavar="FOLDER",
                        help="an image model of the transformers library (the metrics with pretrained in their name)")
    parser.add_argument("--inception", type=Path, metavar="FILE",
                        help="the standard Inception weights (fid, kid, inception-score, prdc-inception)")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="where the cache of a read-only FOLDER goes")
    parser.add_argument("--grid", type=Path, metavar="PNG", help="also write best, random and worst paintings")
    parser.add_argument("--html", type=Path, metavar="PAGE",
                        help="also write a page with tables, confusions and paintings, whole in one file")
    parser.add_argument("--json", action="store_true", help="print one JSON record instead of tables")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from limner.config import from_json
    from limner.data.pictures import open_corpus
    from limner.evaluation.bench import Bench, Sources
    from limner.evaluation.evaluate import evaluate
    from limner.evaluation.matching_model import run_of
    from limner.evaluation.oracle import OracleConfig
    from limner.evaluation.page import html_path, save_page
    from limner.evaluation.report import save_pictures, tables
    from limner.painting.painter import load
    from limner.painting.png import png_path

    if arguments.grid is not None:
        png_path(arguments.grid)
    if arguments.html is not None:
        html_path(arguments.html)
    names = None if arguments.metrics is None else [name.strip() for name in arguments.metrics.split(",")]
    oracle = from_json(OracleConfig, dict(_setting(item) for item in arguments.oracle), where="--oracle")
    sources = Sources(oracle, run=run_of(arguments.model), judge=arguments.judge, pretrained=arguments.pretrained,
                      inception=arguments.inception)
    painter = load(arguments.model, device=arguments.device, precision=arguments.precision)
    with progress() as bar:
        corpus = open_corpus(arguments.data, cache_dir=arguments.cache_dir, progress=bar)
        bench = Bench(painter, corpus, split=arguments.split, samples=arguments.samples, seed=arguments.seed,
                      which=arguments.captions, stage=arguments.stage, inputs=inputs_of(arguments.input),
                      sources=sources, cache_dir=arguments.cache_dir, progress=bar)
        evaluation = evaluate(bench, names)
    for warning in evaluation.warnings:
        say(f"warning: {warning}")
    if arguments.grid is not None:
        save_pictures(arguments.grid, evaluation)
        say(f"the paintings are in {arguments.grid}")
    if arguments.html is not None:
        save_page(arguments.html, evaluation)
        say(f"the page is {arguments.html}")
    if arguments.json:
        print(json.dumps(evaluation.to_json(), indent=1))
    else:
        from rich.console import Console

        # a file or a pipe has no width of its own, and 80 columns break the tables
        Console(width=None if sys.stdout.isatty() else 140).print(tables(evaluation))


def _setting(item: str) -> tuple[str, object]:
    name, equals, value = item.partition("=")
    if not equals:
        raise LimnerError(f"--oracle takes FIELD=VALUE, as in --oracle steps=2000, got {item!r}.")
    return name, parsed_value(value)
