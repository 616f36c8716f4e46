"""Trains the oracle on real pictures, and keeps it beside their cache.

It learns from all splits: it must know the held-out combinations, for it is a judge and not a model under test. A fifth
of every split is kept from it; how well it does there is the ceiling of what a painter can score.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from limner.config import to_json
from limner.data.cache import Progress, content_key
from limner.data.pictures import Corpus, PictureSet, cache_place
from limner.data.record import SPLITS
from limner.errors import LimnerError
from limner.evaluation.attributes import Attributes, find_attributes
from limner.evaluation.oracle import Oracle, OracleConfig, OracleNetwork, as_images
from limner.files import remove, written_atomically
from limner.nn.initialisation import seeded_initialisation
from limner.nn.layout import channels_last
from limner.precision import resolve_precision
from limner.randomness import stream
from limner.training.tensors import load_tensors, save_tensors

_FORMAT = 1
"""Counts up when the training changes, so that older files are not taken for oracles of today."""


def held_out_rows(pictures: PictureSet, seed: int) -> np.ndarray:
    """The fifth of a split that the oracle never sees: row numbers in order, rounded up; none of a lone picture."""
    count = -(-len(pictures) // 5) if len(pictures) > 1 else 0
    rng = stream(seed, "oracle held out", SPLITS.index(pictures.name))
    return np.sort(rng.permutation(len(pictures))[:count])


def find_oracle(corpus: Corpus, config: OracleConfig | None = None, *, cache_dir: Path | None = None,
                device: torch.device | None = None, progress: Progress | None = None) -> Oracle:
    """The oracle of a corpus: the cached one if the pictures and their attributes are unchanged, else a new one.

    It lies in FOLDER/.limner-cache (or in its place under ``cache_dir``); a corpus in memory has no cache. Raises
    LimnerError if the corpus has no attributes or its pictures cannot be read.
    """
    config = config or OracleConfig()
    attributes = find_attributes(corpus)
    if corpus.root is None:
        return train_oracle(corpus, config, attributes, device=device, progress=progress)
    settings = hashlib.blake2b(json.dumps([_FORMAT, to_json(config)]).encode(), digest_size=4).hexdigest()
    place = cache_place(corpus.root, cache_dir)
    path = place / f"oracle-{data_key(corpus)}-{settings}.safetensors"
    oracle = _read(path, config, attributes, device)
    if oracle is None:
        oracle = train_oracle(corpus, config, attributes, device=device, progress=progress)
        with written_atomically(path) as temporary:
            save_tensors(temporary, oracle.weights)
        for stale in place.glob(f"oracle-*-{settings}.safetensors"):
            if stale != path:
                remove(stale)
    return oracle


def data_key(corpus: Corpus) -> str:
    """Hash (16 hexadecimal digits) over what the oracle learns from: pictures, splits and attributes."""
    records = [record for split in corpus.splits() for record in corpus.split(split).records]
    known = [(record.file_name, record.split, sorted((record.attributes or {}).items())) for record in records]
    digest = hashlib.blake2b(json.dumps(known).encode(), digest_size=8)
    if corpus.root is not None:
        digest.update(content_key(corpus.root, [record.file_name for record in records]).encode())
    return digest.hexdigest()


def _read(path: Path, config: OracleConfig, attributes: Attributes, device: torch.device | None) -> Oracle | None:
    """The cached oracle, or None if there is none, or one that is damaged and will be made again."""
    network = OracleNetwork(config, attributes.classes)
    try:
        network.load_state_dict(load_tensors(path))
    except (LimnerError, RuntimeError):
        return None
    return Oracle(config, attributes, network, device=device)


def train_oracle(corpus: Corpus, config: OracleConfig, attributes: Attributes, *,
                 device: torch.device | None = None, progress: Progress | None = None) -> Oracle:
    """Trains an oracle: AdamW with one cycle of the learning rate, cross entropy summed over the attributes.

    Splits are drawn from in proportion to the square root of their size, so that held-out combinations, which are
    few, are learnt as well as the others; pictures are shifted at random by up to a 16th of their side. bfloat16 where
    the hardware multiplies in it.
    """
    device = device or torch.device("cpu")
    lessons = _lessons(corpus, config, attributes)
    with seeded_initialisation(config.seed, "oracle"):
        network = OracleNetwork(config, attributes.classes)
    network = channels_last(network.train().to(device))
    optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps + 1)
    half = resolve_precision("auto", device.type) == "bf16"
    for step in range(config.steps):
        rng = stream(config.seed, "oracle batch", step)
        pixels, targets = _drawn(lessons, config.batch_size, rng)
        images = as_images(torch.from_numpy(_shifted(pixels, config.size // 16, rng)), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            _, scores = network(images)
        loss = _loss(scores, torch.from_numpy(targets).to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress:
            progress("Training the oracle", step + 1, config.steps)
    return Oracle(config, attributes, network, device=device)


@dataclass(frozen=True)
class _Lesson:
    """What one split teaches."""

    pixels: np.ndarray
    """uint8 (N, S, S, 3): the whole split."""
    rows: np.ndarray
    """The pictures that have attributes and are not held out."""
    numbers: np.ndarray
    """int64 (rows, attributes): their class numbers."""


def _lessons(corpus: Corpus, config: OracleConfig, attributes: Attributes) -> list[_Lesson]:
    lessons = []
    for name in corpus.splits():
        pictures = corpus.split(name)
        numbers = attributes.numbers(pictures.records)
        told = np.flatnonzero((numbers >= 0).any(1))
        rows = np.setdiff1d(told, held_out_rows(pictures, config.seed))
        if len(rows):
            lessons.append(_Lesson(pictures.pixels(config.size), rows, numbers[rows]))
    return lessons


def _drawn(lessons: list[_Lesson], count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (count, S, S, 3) and their class numbers (count, attributes)."""
    weights = np.sqrt([len(lesson.rows) for lesson in lessons])
    pixels, numbers = [], []
    for lesson, share in zip(lessons, rng.multinomial(count, weights / weights.sum()), strict=True):
        places = rng.integers(len(lesson.rows), size=share)
        pixels.append(lesson.pixels[lesson.rows[places]])
        numbers.append(lesson.numbers[places])
    return np.concatenate(pixels), np.concatenate(numbers)


def _shifted(images: np.ndarray, reach: int, rng: np.random.Generator) -> np.ndarray:
    """Every picture shifted by up to ``reach`` pixels each way; the border is repeated."""
    if reach == 0:
        return images
    side = images.shape[1]
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    offsets = rng.integers(2 * reach + 1, size=(len(images), 2))
    return np.stack([picture[top:top + side, left:left + side]
                     for picture, (top, left) in zip(padded, offsets, strict=True)])


def _loss(scores: list[Tensor], targets: Tensor) -> Tensor:
    """Cross entropy summed over the attributes, each a mean over the pictures that have it."""
    loss = scores[0].new_zeros((), dtype=torch.float32)
    for column, table in enumerate(scores):
        known = (targets[:, column] >= 0).sum().clamp(min=1)
        loss = loss + functional.cross_entropy(table.float(), targets[:, column], ignore_index=-1,
                                               reduction="sum") / known
    return loss
