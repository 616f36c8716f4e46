"""Feature extractors: networks in whose features pictures are compared, each with a hash for the record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from limner.data.cache import Progress, content_key
from limner.data.pictures import PictureSet, cache_place
from limner.errors import LimnerError
from limner.evaluation.fid_inception import STANDARD_FILE, FidInception, load_fid_inception
from limner.evaluation.matching_model import MatchingModel, load_matching_model, matching_stage
from limner.evaluation.metric import Measured, Metric
from limner.evaluation.oracle import as_images
from limner.evaluation.rows import in_rows
from limner.files import remove, sha256, written_atomically
from limner.training.tensors import load_tensors, save_tensors
from limner.vision.encoders import PretrainedImageEncoder

if TYPE_CHECKING:
    from limner.evaluation.bench import Bench

EXTRACTORS = ("oracle", "own", "judge", "pretrained", "inception")
"""``oracle``: the classifier trained on the data. ``own``: the image encoder of the model's own run. ``judge``: that of
another run. ``pretrained``: a model of the transformers library. ``inception``: the standard one."""
_FORMAT = 1
"""Counts up when the making of reference features changes."""


@dataclass(frozen=True)
class Extractor:
    """Pictures to vectors."""

    name: str
    about: dict[str, Any]
    """For the record; ``hash`` names the weights."""
    encode: Callable[[np.ndarray], np.ndarray]
    """uint8 (B, S, S, 3) to float32 (B, F)."""
    rows: int = 64
    """Pictures that it sees together, always."""

    def features(self, images: np.ndarray, *, progress: Progress | None = None, what: str = "") -> np.ndarray:
        """Pictures uint8 (N, S, S, 3) to float32 (N, F); what it says of one does not depend on the others."""
        return in_rows(images, self.rows, self.encode, progress=progress, what=what)


def lacks_extractor(bench: Bench, name: str) -> str | None:
    """Why there is no such extractor here, or None. Raises LimnerError if a source that was named is not one."""
    sources = bench.sources
    if name == "oracle":
        return bench.lacks_attributes()
    if name == "own":
        if sources.run is None or matching_stage(sources.run) is None:
            return "the model has no image encoder of its own; a run folder whose matching stage is done has one"
        return None
    option = {"judge": "--judge RUN", "pretrained": "--pretrained FOLDER", "inception": f"--inception {STANDARD_FILE}"}
    if getattr(sources, name) is None:
        return f"give {option[name]}"
    bench.extractor(name)
    return None


def build_extractor(bench: Bench, name: str) -> Extractor:
    """Builds an extractor. Raises LimnerError if its source is not what it should be."""
    if name == "oracle":
        oracle = bench.oracle
        return Extractor(name, oracle.about, lambda images: oracle.judge(images).features)
    if name in ("own", "judge"):
        model = matching_model(bench, name)
        return Extractor(name, model.about, model.images)
    if name == "pretrained":
        assert bench.sources.pretrained is not None
        return _pretrained(bench.sources.pretrained, bench.device)
    network = standard_inception(bench)
    about = {"file": STANDARD_FILE, "hash": sha256(_named(bench.sources.inception)), "layer": "pool, 2048",
             "resizing": "bilinear to 299, half-pixel centres, no antialiasing"}
    return Extractor(name, about, _encoder(network, bench.device), rows=16)


def matching_model(bench: Bench, name: str) -> MatchingModel:
    """The matching model of the model's own run (``own``) or of another one (``judge``)."""
    run = _named(bench.sources.run if name == "own" else bench.sources.judge)
    return bench.once(f"matching model {name}", lambda: load_matching_model(run, bench.device))


def standard_inception(bench: Bench) -> FidInception:
    """The standard Inception network. Raises LimnerError for any other file."""
    path = _named(bench.sources.inception)
    return bench.once("standard inception", lambda: load_fid_inception(path).to(bench.device))


def by_extractor(family: str, standard: str, summary: str, measure: Callable[[Bench, str, str], Measured], *,
                 least: int) -> dict[str, Metric]:
    """One metric for each extractor: ``family-extractor``, and ``standard`` for the standard Inception.

    ``measure`` is given the bench, the metric's name and the extractor's; ``least`` is the fewest pictures that it can
    work with.
    """
    def entry(metric: str, extractor: str) -> Metric:
        def needs(bench: Bench) -> str | None:
            lacking = lacks_extractor(bench, extractor)
            if lacking is None and len(bench.rows) < least:
                lacking = f"it needs at least {least} samples and pictures"
            return lacking

        return Metric(f"{summary}, in features of {extractor}", needs, lambda bench: measure(bench, metric, extractor))

    names = {name: f"{family}-{name}" if name != "inception" else standard for name in EXTRACTORS}
    return {metric: entry(metric, extractor) for extractor, metric in names.items()}


def reference_features(pictures: PictureSet, root: Path | None, extractor: Extractor, size: int, *,
                       cache_dir: Path | None, progress: Progress | None) -> np.ndarray:
    """Features float32 (M, F) of all pictures of a split, squashed to ``size`` pixels first.

    They are kept beside the cache of pictures, under a key of the pictures' content, the extractor's hash and the size.
    """
    def make() -> np.ndarray:
        return extractor.features(pictures.pixels(size), progress=progress,
                                  what=f"Features of real pictures ({extractor.name})")

    if root is None:
        return make()
    place = cache_place(root, cache_dir)
    content = content_key(root, [record.file_name for record in pictures.records])
    settings = hashlib.blake2b(f"{_FORMAT} {extractor.about['hash']} {size}".encode(), digest_size=8).hexdigest()
    path = place / f"features-{pictures.name}-{content}-{settings}.safetensors"
    try:
        found = load_tensors(path).get("features")
    except LimnerError:
        found = None  # none yet, or a damaged one that is made again
    if found is not None and len(found) == len(pictures):
        return found.numpy()
    features = make()
    with written_atomically(path) as temporary:
        save_tensors(temporary, {"features": torch.from_numpy(features)})
    for stale in place.glob(f"features-{pictures.name}-*"):
        if not stale.name.startswith(f"features-{pictures.name}-{content}-"):
            remove(stale)
    return features


def _named(path: Path | None) -> Path:
    assert path is not None, "lacks_extractor comes first"
    return path


def _pretrained(folder: Path, device: torch.device) -> Extractor:
    encoder = PretrainedImageEncoder(str(folder), embedding=1)
    encoder.head = nn.Identity()  # type: ignore[assignment]  # the pooled features themselves
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.suffix == ".safetensors" or file.name in ("config.json", "preprocessor_config.json"):
            digest.update(f"{file.name} {sha256(file)}\n".encode())
    about = {"folder": str(folder), "hash": digest.hexdigest(), "layer": "pooled features",
             "resizing": f"bicubic to {encoder.side}, antialiased"}
    return Extractor("pretrained", about, _encoder(encoder.to(device).eval(), device), rows=16)


def _encoder(network: nn.Module, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    @torch.inference_mode()
    def encode(images: np.ndarray) -> np.ndarray:
        features: Tensor = network(as_images(torch.from_numpy(images), device))
        return features.float().cpu().numpy()

    return encode
