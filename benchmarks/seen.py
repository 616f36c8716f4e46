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

from limner.config import from_json
from limner.data.batch import as_float
from limner.data.pictures import PictureSet, open_corpus
from limner.evaluation.attributes import Attributes, find_attributes
from limner.evaluation.matching_model import matching_stage
from limner.evaluation.questions import Questions, questions_of
from limner.matching.config import MatchingConfig
from limner.matching.damsm.image_encoder import SmallRegions
from limner.matching.damsm.scorer import DamsmScorer
from limner.matching.stage import load_image_encoder
from limner.training.bundle_folder import read_bundle
from limner.vision.encoders import SmallImageEncoder
from turns import report

EPOCHS, ROWS = 15, 128


def encoder_of(run: Path) -> SmallImageEncoder | SmallRegions:
    """The image encoder of a run's first stage, where it is one that is trained from scratch."""
    folder = matching_stage(run)
    if folder is None:
        raise SystemExit(f"{run} has no finished matching model.")
    if (folder / "damsm.json").is_file():
        encoder: nn.Module = DamsmScorer.from_run(run).image_encoder
    else:
        components = read_bundle(folder).components
        config = from_json(MatchingConfig, components.assets["matching"], where=str(folder))
        encoder = load_image_encoder(config, components)
    if not isinstance(encoder, SmallImageEncoder | SmallRegions):
        raise SystemExit(f"the image encoder of {run} is not trained here.")
    return encoder


@torch.inference_mode()
def features(encoder: SmallImageEncoder | SmallRegions, pixels: np.ndarray) -> Tensor:
    """uint8 (N, S, S, 3) to float32 (N, F)."""
    found = []
    for start in range(0, len(pixels), ROWS):
        images = torch.from_numpy(np.ascontiguousarray(pixels[start:start + ROWS])).permute(0, 3, 1, 2)
        last = encoder.maps(as_float(images))[-1]
        found.append(torch.cat([last.flatten(1), last.amax((2, 3))], 1))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of limner train whose first stage is done")
    parser.add_argument("--data", required=True, type=Path, help="folder of pictures with attributes")
    parser.add_argument("--pictures", type=int, default=8000, help="training pictures that the linear layers see")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    corpus = open_corpus(arguments.data)
    attributes = find_attributes(corpus)
    splits = {}
    for name in ("train", "val", "test"):
        questions, rows = questions_of(corpus.split(name), attributes)
        chosen = np.random.default_rng(0).permutation(len(questions))[:arguments.pictures]
        splits[name] = (corpus.split(name), questions[chosen], rows[chosen])
    report({str(run): seen(encoder_of(run), splits, attributes) for run in arguments.runs}, arguments.json)


if __name__ == "__main__":
    main()
