"""The matching model of a run, as a judge: captions and pictures to vectors that can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limner.config import from_json
from limner.data.batch import as_float
from limner.errors import LimnerError
from limner.evaluation.oracle import squashed
from limner.evaluation.rows import in_rows
from limner.files import read_json, sha256
from limner.matching.config import MatchingConfig
from limner.matching.damsm.scorer import DamsmScorer
from limner.matching.stage import encode_captions, load_image_encoder, load_text_encoder
from limner.training.bundle_folder import read_bundle

_CAPTIONS = 64


@dataclass(frozen=True)
class MatchingModel:
    """Text encoder and image encoder that were trained together, frozen."""

    about: dict[str, Any]
    """For a record: kind, run, the data that it was trained on, SHA-256 of its files."""
    images: Callable[[np.ndarray], np.ndarray]
    """Pictures uint8 (B, S, S, 3) of any side to vectors float32 (B, D)."""
    read: Callable[[Sequence[str]], Tensor]
    text_weights: Mapping[str, Tensor]
    image_encoder: nn.Module

    def captions(self, captions: Sequence[str]) -> np.ndarray:
        """Captions to vectors float32 (N, D), always so many together."""
        return in_rows(np.array(captions, object), _CAPTIONS, lambda part: self.read(list(part)).numpy())

    def trained_with(self, components: Mapping[str, Mapping[str, Tensor]]) -> bool:
        """Whether its text encoder is among the weights of a painter (as they are, or halved for a bundle)."""
        return any(weights.keys() == self.text_weights.keys() and all(
            value.shape == weights[name].shape and torch.equal(value.half().cpu(), weights[name].half().cpu())
            for name, value in self.text_weights.items()) for weights in components.values())


def matching_stage(run: Path) -> Path | None:
    """The folder of the finished stage of a run that trained a matching model, or None."""
    found = sorted([*Path(run).glob("stages/*/matching.json"), *Path(run).glob("stages/*/damsm.json")])
    return found[0].parent if found else None


def run_of(model: str | Path) -> Path | None:
    """The run folder that a model's name means, or whose painter it is; None for a bundle without one."""
    folder = Path(model)
    places = (folder, folder.resolve().parent) if folder.name == "painter" else (folder,)
    return next((place for place in places if (place / "stages").is_dir()), None)


def load_matching_model(run: Path, device: torch.device) -> MatchingModel:
    """The matching model of a run. Raises LimnerError if the run has none that is finished."""
    folder = matching_stage(run)
    if folder is None:
        raise LimnerError(f"{run} has no finished matching model: give the folder of a run of limner train whose first "
                          "stage, the one that trains text and image encoder, is done.")
    data = read_json(run / "config.json").get("data") if (run / "config.json").is_file() else None
    about = {"kind": "damsm" if (folder / "damsm.json").is_file() else "matching", "run": str(run),
             "trained_on": data, "hash": _hash(folder)}
    if about["kind"] == "damsm":
        scorer = DamsmScorer.from_run(run).to(device)
        return MatchingModel(about, lambda pictures: scorer.images(pictures).numpy(), scorer.captions,
                             scorer.text_encoder.state_dict(), scorer.image_encoder)
    components = read_bundle(folder).components
    config = from_json(MatchingConfig, components.assets["matching"], where=str(folder / "matching.json"))
    text_encoder, tokeniser = load_text_encoder(config, components)
    image_encoder = load_image_encoder(config, components).to(device)
    text_encoder.to(device)

    @torch.inference_mode()
    def images(pictures: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(squashed(pictures, config.image_size)).permute(0, 3, 1, 2)
        return image_encoder(as_float(pixels.to(device))).float().cpu().numpy()

    return MatchingModel(about, images, lambda captions: encode_captions(text_encoder, tokeniser.encode(captions)),
                         text_encoder.state_dict(), image_encoder)


def _hash(folder: Path) -> str:
    """SHA-256 over names and contents of the stage's weights and assets."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix == ".safetensors" or (file.suffix == ".json" and file.name != "config.json"):
            digest.update(f"{file.name} {sha256(file)}\n".encode())
    return digest.hexdigest()
