"""A tour of Limner: data, training, painting, evaluation, comparison, in a few minutes on a laptop.

    python examples/tour.py tour/          everything is written below tour/
    python examples/tour.py tour/ --quick  the same steps in seconds; the paintings are noise then

Each step says what it does while it does it. The command line has the same steps: limner data make, train, paint,
evaluate, compare.
"""

from __future__ import annotations

import argparse
import inspect
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

import limner
from limner.data.contact_sheet import save_contact_sheet
from limner.data.pictures import Corpus, open_corpus
from limner.data.shapes import make_shapes
from limner.errors import LimnerError
from limner.evaluation.bench import Bench, Sources
from limner.evaluation.evaluate import evaluate
from limner.evaluation.oracle import OracleConfig
from limner.evaluation.report import tables
from limner.painting.compare import compare, save_comparison
from limner.painting.sheet import save_grid
from limner.systems import find_preset
from limner.systems.gan_cls.config import GanClsConfig
from limner.training.loop import train
from limner.training.settings import RunSettings

SIDE = 32
"""Small pictures, so that minutes are enough to learn something."""


@dataclass(frozen=True)
class Length:
    """How much of everything."""

    pictures: int
    encoder_images: int
    painter_images: int
    oracle_steps: int
    samples: int


WHOLE = Length(pictures=4000, encoder_images=40_000, painter_images=40_000, oracle_steps=400, samples=300)
QUICK = Length(pictures=60, encoder_images=64, painter_images=64, oracle_steps=2, samples=6)


def make_data(out: Path, length: Length) -> Corpus:
    """1. Data. A data set is a folder of pictures with captions. Here Limner draws one itself: scenes of a shape with
    colour, size, texture and place. One tenth, the split "test", has combinations that training never sees: no red
    square, no green star. Look at data.png: pictures with the first of their five captions."""
    out.mkdir(parents=True, exist_ok=True)
    folder = make_shapes(out / "data", count=length.pictures, size=SIDE)
    save_contact_sheet(folder, out / "data.png")
    return open_corpus(folder)


def configuration(length: Length) -> tuple[Any, str, GanClsConfig]:
    """The preset of the bundled painter, made small: fewer channels, smaller pictures, a short schedule."""
    system, preset = find_preset("shapes-gan-cls")
    config = system.presets[preset]()
    text = replace(config.matching.text, widths=(32, 64), embedding=64)
    matching = replace(config.matching, text=text, image=replace(config.matching.image, width=16), image_size=SIDE,
                       schedule=replace(config.matching.schedule, images=length.encoder_images, tick=5000))
    gan = replace(config.gan, image_size=SIDE, generator_width=12, discriminator_width=16, condition_size=64,
                  schedule=replace(config.gan.schedule, images=length.painter_images, tick=5000,
                                   average_half_life=1500))
    return system, preset, GanClsConfig(matching=matching, gan=gan)


def train_painter(corpus: Corpus, out: Path, length: Length) -> Path:
    """2. Training. The system is GAN-CLS (Reed et al. 2016) in an improved form, with two stages. First a text encoder
    learns which caption belongs to which picture. Then a generator learns to paint from it, against a discriminator
    that also punishes pictures which do not fit their caption. A run folder keeps log, samples and checkpoints; a
    training that is interrupted goes on exactly where it stopped (resume=True, or limner train ... --resume)."""
    system, preset, config = configuration(length)
    run = out / "run"
    train(system, preset, config, corpus, run, RunSettings(device="cpu", keep=1))
    return run


CAPTIONS = ("a large yellow circle on the left", "a large blue cross at the top", "a large green star in the centre",
            "a large red square in the bottom right corner")


def paint(run: Path, out: Path) -> Path:
    """3. Painting. A caption and a seed give a picture, and always the same one; six seeds show what the caption leaves
    open. The last two captions ask for combinations that no training picture had. Every PNG remembers how it was
    painted: limner show paintings.png."""
    painter = limner.load(run, device="cpu")
    paintings = painter(list(CAPTIONS), seed=range(6))
    return save_grid(out / "paintings.png", paintings, columns=6, labels=CAPTIONS)


def measure(run: Path, corpus: Corpus, out: Path, length: Length) -> Path:
    """4. Evaluation. Do paintings of unseen combinations show what was asked for? A small classifier, trained on the
    real pictures, says what it sees. Read "right" between its two marks: "shuffled", what the same paintings score
    with other paintings' captions, and "ceiling", what real pictures score. Place and colour come first, shape
    takes longer. (Trust in the judge grows with pictures and steps: here it is trained for seconds.)"""
    oracle = OracleConfig(size=SIDE, steps=length.oracle_steps)
    bench = Bench(limner.load(run, device="cpu"), corpus, samples=length.samples, sources=Sources(oracle))
    evaluation = evaluate(bench, ["faithfulness", "diversity"])
    Console(width=140).print(tables(evaluation))
    scores = out / "scores.json"
    scores.write_text(json.dumps(evaluation.to_json(), indent=1), encoding="utf-8")
    return scores


def set_side_by_side(run: Path, out: Path) -> Path:
    """5. Comparison. The same captions and seed through this painter and through the one that comes with Limner, which
    has the same design, pictures of twice the side and hours of training. To make your own catch up, give it more
    pictures and time: limner train shapes-gan-cls DATA --out RUN."""
    return save_comparison(out / "comparison.png", compare(CAPTIONS, [run, "shapes-gan-cls"], device="cpu"))


def explain(step: Callable[..., Any]) -> None:
    print(f"\n{inspect.getdoc(step)}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for everything")
    parser.add_argument("--quick", action="store_true", help="tiny counts: to see the steps, not the results")
    arguments = parser.parse_args()
    out, length, start = arguments.out, QUICK if arguments.quick else WHOLE, time.perf_counter()
    try:
        explain(make_data)
        corpus = make_data(out, length)
        explain(train_painter)
        run = train_painter(corpus, out, length)
        explain(paint)
        print(paint(run, out))
        explain(measure)
        print(measure(run, corpus, out, length))
        explain(set_side_by_side)
        print(set_side_by_side(run, out))
    except LimnerError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"\nThe tour took {time.perf_counter() - start:.0f} seconds.")


if __name__ == "__main__":
    main()
