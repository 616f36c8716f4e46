"""A trained DAMSM that scores text against pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from limner.config import from_json
from limner.data.batch import as_float
from limner.data.pictures import PictureSet
from limner.errors import LimnerError
from limner.matching.damsm.config import DamsmConfig
from limner.matching.damsm.image_encoder import build_region_encoder
from limner.matching.damsm.losses import region_contexts, region_shares
from limner.matching.damsm.retrieval import CANDIDATES, FOLDS, RPrecision, r_precision
from limner.matching.damsm.text_encoder import WordEncoder
from limner.matching.damsm.vocabulary import Vocabulary
from limner.nn.folding import fold_batch_norms
from limner.nn.layout import channels_last
from limner.training.bundle_folder import read_bundle
from limner.training.stage import Components, loaded

_CHUNK = 64


def load_word_encoder(config: DamsmConfig, components: Components) -> tuple[WordEncoder, Vocabulary]:
    """Text encoder and vocabulary from the stage's components, frozen and ready for evaluation."""
    vocabulary = Vocabulary.from_json(components.assets["vocabulary"])
    encoder = WordEncoder(config.text, vocabulary.size, config.embedding)
    return loaded(encoder, components.weights["text_encoder"]), vocabulary


@dataclass(frozen=True, eq=False)
class Match:
    """How a picture and a caption match."""

    words: tuple[str, ...]
    """The n known words of the caption."""
    maps: np.ndarray
    """float32 (n, H, W): each word's shares of the picture's regions, which sum to 1."""
    cosines: np.ndarray
    """float32 (n,), -1 to 1: of each word and the regions that it means."""
    whole: float
    """-1 to 1: the cosine of the caption and the picture."""
    without: np.ndarray
    """float32 (n,): that cosine for the caption without this word (an empty caption for a single word)."""


class DamsmScorer:
    """Text encoder and image encoder together, frozen.

    ``name`` says which model it is, for the results that it judges.
    """

    def __init__(self, config: DamsmConfig, components: Components, *, name: str) -> None:
        self.config = config
        self.name = name
        self.text_encoder, self.vocabulary = load_word_encoder(config, components)
        self.image_encoder = loaded(build_region_encoder(config), components.weights["image_encoder"])
        channels_last(fold_batch_norms(self.image_encoder))

    @classmethod
    def from_run(cls, run: Path) -> DamsmScorer:
        """The scorer of a run whose matching stage is done. Raises LimnerError if there is none."""
        found = sorted(Path(run).glob("stages/*/damsm.json"))
        if not found:
            raise LimnerError(f"{run} has no finished DAMSM: give a run of limner train attngan whose first stage is "
                              "done.")
        components = read_bundle(found[0].parent).components
        config = from_json(DamsmConfig, components.assets["damsm"], where=str(found[0]))
        return cls(config, components, name=str(run))

    def to(self, device: torch.device) -> DamsmScorer:
        self.text_encoder.to(device)
        self.image_encoder.to(device)
        return self

    @torch.inference_mode()
    def captions(self, captions: Sequence[str]) -> Tensor:
        """Captions to vectors: float32 (N, D)."""
        tokens, lengths = self.vocabulary.table(captions)
        device = next(self.text_encoder.parameters()).device
        chunks = [self.text_encoder(torch.from_numpy(part).long().to(device), torch.from_numpy(sizes))[1].cpu()
                  for part, sizes in ((tokens[first : first + _CHUNK], lengths[first : first + _CHUNK])
                                      for first in range(0, len(tokens), _CHUNK))]
        return torch.cat(chunks)

    @torch.inference_mode()
    def images(self, images: np.ndarray) -> Tensor:
        """uint8 pictures (N, S, S, 3) to vectors: float32 (N, D)."""
        return torch.cat([self._look(images[first : first + _CHUNK])[1] for first in range(0, len(images), _CHUNK)])

    @torch.inference_mode()
    def explain(self, image: np.ndarray, caption: str) -> Match:
        """How a picture, uint8 (S, S, 3) of any S, and a caption match, word by word.

        Raises:
            LimnerError: no word of the caption is known.
        """
        known = self.vocabulary.known(caption)
        if not known:
            raise LimnerError(f"no word of {caption!r} is in the vocabulary of {self.name}.")
        # the caption, and after it the caption without each of its words
        texts = [" ".join(known), *(" ".join(known[:i] + known[i + 1 :]) for i in range(len(known)))]
        tokens, lengths = (torch.from_numpy(part) for part in self.vocabulary.table(texts))
        device = next(self.text_encoder.parameters()).device
        words, sentences = (part.cpu() for part in self.text_encoder(tokens.long().to(device), lengths))
        regions, vector = self._look(image[None])
        words = words[:1, :, : len(known)]
        padding = torch.zeros(1, len(known), dtype=torch.bool)
        _, shares = region_shares(words, padding, regions.flatten(2), self.config.sharpness.regions)
        contexts = region_contexts(shares, regions.flatten(2))
        wholes = functional.cosine_similarity(sentences, vector, dim=1)
        return Match(words=tuple(known), maps=shares[0, 0].unflatten(1, tuple(regions.shape[2:])).numpy(),
                     cosines=functional.cosine_similarity(contexts[0, 0], words[0].T, dim=1).numpy(),
                     whole=wholes[0].item(), without=wholes[1:].numpy())

    def _look(self, images: np.ndarray) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        device = next(self.image_encoder.parameters()).device
        regions, vectors = self.image_encoder(as_float(pixels.to(device)))
        return regions.float().cpu(), vectors.float().cpu()


def r_precision_of(scorer: DamsmScorer, images: np.ndarray, painted_of: np.ndarray, pictures: PictureSet, *,
                   candidates: int = CANDIDATES, folds: int = FOLDS, seed: int = 0) -> RPrecision:
    """R-precision of paintings of captions of a split, judged by a scorer.

    Args:
        images: uint8 (N, S, S, 3), the paintings.
        painted_of: int (N,), the number of each painting's caption in ``pictures.captions``.
        pictures: the split whose captions are the candidates. Without labels, every picture is a class of its own.
    """
    owners = np.repeat(np.arange(len(pictures)), np.diff(pictures.caption_ranges, axis=1)[:, 0])
    kinds = owners if pictures.labels is None else pictures.labels[owners]
    pool = scorer.captions(pictures.captions)
    return r_precision(scorer.images(images), pool[torch.from_numpy(painted_of)], pool, kinds=kinds[painted_of],
                       pool_kinds=kinds, encoder=scorer.name, candidates=candidates, folds=folds, seed=seed)
