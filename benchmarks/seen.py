"""What the image encoder of a run sees: which attributes a linear layer can tell from its last maps.

    python benchmarks/seen.py RUN [RUN ...] --data shapes128

The layer reads every place of the maps and the largest value in each channel, as our discriminators do, and is trained
on pictures of train whose first captions decide the attribute. ``val`` are other pictures of the same combinations,
``test`` pictures of the combinations that training never shows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.data.batch import as_float
from limner.data.pictures import PictureSet, open_corpus
from limner.errors import LimnerError
from limner.evaluation.attributes import Attributes, find_attributes
from limner.evaluation.matching_model import load_matching_model
from limner.evaluation.questions import Questions, questions_of
from limner.matching.damsm.image_encoder import SmallRegions
from limner.nn.blocks import places_and_largest
from limner.vision.encoders import SmallImageEncoder
from turns import report

EPOCHS, ROWS = 15, 128


def encoder_of(run: Path) -> SmallImageEncoder | SmallRegions:
    """The image encoder of a run's first stage, where it is one that is trained from scratch."""
    encoder = load_matching_model(run, torch.device("cpu")).image_encoder
    if not isinstance(encoder, SmallImageEncoder | SmallRegions):
        raise LimnerError(f"the image encoder of {run} was not trained from scratch.")
    return encoder


@torch.inference_mode()
def features(encoder: SmallImageEncoder | SmallRegions, pixels: np.ndarray) -> Tensor:
    """uint8 (N, S, S, 3) to float32 (N, F)."""
    found = []
    for start in range(0, len(pixels), ROWS):
        images = torch.from_numpy(np.ascontiguousarray(pixels[start:start + ROWS])).permute(0, 3, 1, 2)
        found.append(places_and_largest(encoder.maps(as_float(images))[-1]))
    return torch.cat(found).clone()


def told(questions: Questions, features: Tensor, column: int) -> tuple[Tensor, Tensor]:
    """Features and classes of the pictures whose captions decide an attribute."""
    there = torch.tensor(questions.counts[:, column])
    return features[there], torch.tensor(questions.asked[:, column])[there]


def probed(known: tuple[Tensor, Tensor], others: list[tuple[Tensor, Tensor]], classes: int) -> list[float]:
    """How often a linear layer that has learnt from ``known`` is right of others."""
    torch.manual_seed(0)
    x, y = known
    layer = nn.Linear(x.shape[1], classes)
    optimiser = torch.optim.AdamW(layer.parameters(), 3e-3, weight_decay=0.1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(ROWS):
            loss = functional.cross_entropy(layer(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return [round((layer(x).argmax(1) == y).float().mean().item(), 4) for x, y in others]


def seen(encoder: SmallImageEncoder | SmallRegions, splits: dict[str, tuple[PictureSet, Questions, np.ndarray]],
         attributes: Attributes) -> dict[str, dict[str, float]]:
    """attribute -> split -> share of pictures of which it is told rightly."""
    read: dict[str, tuple[Questions, Tensor]] = {
        name: (questions, features(encoder, pictures.pixels(encoder.image_size)[rows]))
        for name, (pictures, questions, rows) in splits.items()}
    mean, deviation = read["train"][1].mean(0), read["train"][1].std(0) + 1e-3
    result = {}
    for column, (name, classes) in enumerate(attributes.classes.items()):
        parts = {split: told(questions, (x - mean) / deviation / 10, column) for split, (questions, x) in read.items()}
        if min(len(y) for _, y in parts.values()):
            held_out = [split for split in parts if split != "train"]
            shares = probed(parts["train"], [parts[split] for split in held_out], len(classes))
            result[name] = dict(zip(held_out, shares, strict=True))
    return result


def measured(runs: list[Path], data: Path, pictures: int) -> dict[str, dict[str, dict[str, float]]]:
    """run -> attribute -> split -> share."""
    corpus = open_corpus(data)
    attributes = find_attributes(corpus)
    splits = {}
    for name in ("train", "val", "test"):
        questions, rows = questions_of(corpus.split(name), attributes)
        chosen = np.random.default_rng(0).permutation(len(questions))[:pictures]
        splits[name] = (corpus.split(name), questions[chosen], rows[chosen])
    return {str(run): seen(encoder_of(run), splits, attributes) for run in runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of limner train whose first stage is done")
    parser.add_argument("--data", required=True, type=Path, help="folder of pictures with attributes")
    parser.add_argument("--pictures", type=int, default=8000, help="training pictures that the linear layers see")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    try:
        report(measured(arguments.runs, arguments.data, arguments.pictures), arguments.json)
    except LimnerError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
