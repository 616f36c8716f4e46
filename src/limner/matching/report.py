"""The zero-shot figures of the text encoder that a run trained."""

from __future__ import annotations

from pathlib import Path

from limner.config import from_json
from limner.data.pictures import PictureSet
from limner.errors import LimnerError
from limner.matching.config import MatchingConfig
from limner.matching.retrieval import ZeroShotScores
from limner.matching.stage import evaluate_matching, load_image_encoder, load_text_encoder
from limner.training.bundle_folder import read_bundle


def evaluate_run(run: Path, pictures: PictureSet) -> ZeroShotScores:
    """Zero-shot scores of a run's text encoder (with the image encoder that was trained beside it) on pictures.

    They mean what their name says where the classes of ``pictures`` were never trained on. Raises LimnerError if the
    run has no finished stage that trained a text encoder.
    """
    found = sorted(Path(run).glob("stages/*/matching.json"))
    if not found:
        raise LimnerError(f"{run} has no finished text encoder: give a run of limner train whose first stage is done.")
    components = read_bundle(found[0].parent).components
    config = from_json(MatchingConfig, components.assets["matching"], where=str(found[0]))
    text_encoder, tokeniser = load_text_encoder(config, components)
    return evaluate_matching(text_encoder, load_image_encoder(config, components), tokeniser, pictures,
                             image_size=config.image_size)
