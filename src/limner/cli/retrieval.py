"""limner retrieval: how well a run's text encoder tells pictures apart."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limner.cli.terminal import progress

_EXAMPLES = """\
examples:
  limner retrieval runs/birds --data my-birds/                the split test
  limner retrieval runs/birds --data my-birds/ --split val --json

A class is the mean vector of all captions of its pictures. Zero-shot means that the text encoder was
trained on other classes: limner data import ... --split classes holds classes out.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "retrieval", parents=[common], help="measure a run's text encoder by zero-shot retrieval", epilog=_EXAMPLES,
        description="Measures how well captions find their pictures with the text encoder that a run trained: "
                    "precision among the first 50 pictures of each class, and top-1 accuracy.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="RUN", help="a run folder with a finished text encoder")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of captioned pictures")
    parser.add_argument("--split", default="test", metavar="NAME", help="train, val or test (default test)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from limner.data.pictures import open_corpus
    from limner.matching.report import evaluate_run

    with progress() as bar:
        pictures = open_corpus(arguments.data, progress=bar).split(arguments.split)
        scores = evaluate_run(arguments.folder, pictures)
    if arguments.json:
        print(json.dumps(asdict(scores)))
        return
    print(f"{scores.images} pictures of {scores.classes} classes, split {arguments.split}")
    print(f"  precision at {scores.k:<3} {scores.precision_at_k:.4f}   (a perfect ranking: "
          f"{scores.precision_ceiling:.4f})")
    print(f"  top-1 of pictures {scores.top1_micro:.4f}   (chance: {1 / scores.classes:.4f})")
    print(f"  top-1 of classes  {scores.top1_macro:.4f}")
