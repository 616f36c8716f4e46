"""The stage that trains DAMSM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limner.config import to_json
from limner.data.batch import Batch, BatchPlan, as_float
from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.matching.damsm.config import DamsmConfig
from limner.matching.damsm.image_encoder import SmallRegions, build_region_encoder, load_trunk
from limner.matching.damsm.losses import matching_losses
from limner.matching.damsm.retrieval import r_precision
from limner.matching.damsm.scorer import DamsmScorer
from limner.matching.damsm.text_encoder import WordEncoder, padding_of
from limner.matching.damsm.vocabulary import Vocabulary, shorten
from limner.matching.naming import Naming
from limner.nn.initialisation import seeded_initialisation
from limner.nn.layout import channels_last
from limner.training.schedule import Schedule, warmed_cosine
from limner.training.stage import Components, StepContext, weights_of
from limner.training.tensors import load_tensors

_VALIDATION_PICTURES = 1000
_DECAY, _LEAST = 0.98, 0.1


class CaptionTable:
    """All captions of a split as words, from which steps take theirs."""

    def __init__(self, vocabulary: Vocabulary, captions: list[str], *, length: int) -> None:
        """``length``: words of a caption in a step; of a longer one a random choice is taken."""
        self.tokens, self._lengths = vocabulary.table(captions)
        """int32 (captions, longest), 0 behind a caption's end."""
        self._length = length

    @property
    def steps(self) -> int:
        """Words of the longest caption that a step can take."""
        return min(int(self._lengths.max()), self._length)

    def take(self, captions: Tensor, context: StepContext) -> tuple[Tensor, Tensor]:
        """Caption numbers (B, 1) to tokens int64 (B, T) on the device and lengths (B,) on the CPU."""
        rows = captions[:, 0].cpu().numpy()
        tokens, lengths = self.tokens[rows], self._lengths[rows]
        numbers = context.uniform("words", len(rows), tokens.shape[1]).cpu().numpy()
        short, kept = shorten(tokens, lengths, numbers, self._length)
        return torch.from_numpy(short).to(context.device), torch.from_numpy(kept)


class DamsmStage:
    """Trains text encoder and image encoder so that words match regions and captions match pictures."""

    averaged = ("text_encoder", "image_encoder")

    def __init__(self, config: DamsmConfig, corpus: Corpus, seed: int) -> None:
        self.config = config
        self.pictures = corpus.split("train")
        self.held_out = next((corpus.split(name) for name in ("val", "test") if name in corpus.splits()), None)
        self.vocabulary = Vocabulary.from_captions(_counted_captions(config, corpus), min_count=config.text.min_count,
                                                   ascii=config.text.ascii)
        self.captions = CaptionTable(self.vocabulary, self.pictures.captions, length=config.text.length)
        with seeded_initialisation(seed, "damsm"):
            self.text_encoder = WordEncoder(config.text, self.vocabulary.size, config.embedding)
            self.image_encoder = build_region_encoder(config)
        if config.image.architecture == "inception":
            if not config.image.weights:
                raise LimnerError("the image encoder 'inception' needs trained weights: give the file with --set "
                                  "damsm.image.weights=FILE (limner.interop.attngan.convert_inception writes it from "
                                  "the published inception_v3_google file), or take the small encoder with --set "
                                  "damsm.image.architecture=small.")
            load_trunk(self.image_encoder, load_tensors(Path(config.image.weights)), where=config.image.weights)
        channels_last(self.image_encoder)
        self.modules: dict[str, nn.Module] = {"text_encoder": self.text_encoder, "image_encoder": self.image_encoder}
        self.naming: Naming[tuple[Tensor, Tensor]] | None = None
        if isinstance(self.image_encoder, SmallRegions) and config.naming_weight:
            self.naming = Naming(self.image_encoder, self.captions.tokens, self.pictures.caption_ranges,
                                 words=len(self.vocabulary.words), seed=seed)
            self.modules["namer"] = self.naming.namer
        self.optimiser = self._build_optimiser()
        self.optimisers = {"damsm": self.optimiser}

    def _build_optimiser(self) -> torch.optim.Optimizer:
        config = self.config
        parameters = [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]
        if config.recipe == "paper":
            optimiser: torch.optim.Optimizer = torch.optim.Adam(parameters, config.learning_rate, (0.5, 0.999),
                                                                    fused=True)
        else:
            optimiser = torch.optim.AdamW(parameters, config.learning_rate, (0.9, 0.99), weight_decay=1e-2, fused=True)
        if config.clip:
            optimiser.register_step_pre_hook(self._clip)
        return optimiser

    def _clip(self, optimiser: torch.optim.Optimizer, arguments: Any, keywords: Any) -> None:
        """The text encoder alone is clipped, as in the authors' code."""
        nn.utils.clip_grad_norm_(self.text_encoder.parameters(), self.config.clip)

    @property
    def schedule(self) -> Schedule:
        """As configured; the best checkpoint can only be told where there are held-out pictures."""
        return self.config.schedule if self.held_out is not None else replace(self.config.schedule, best="")

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(batch_size=self.config.batch_size, image_size=self.config.image_size,
                         scale_size=self.config.scale_size, flip=self.config.flip)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        self._set_learning_rate(context)
        tokens, lengths = self.captions.take(batch.captions, context)
        labels = batch.labels if self.config.mask_classes else None
        with context.autocast():
            words, sentences = self.text_encoder(tokens, lengths)
            if self.naming is None:
                (regions, images), named = self.image_encoder(as_float(batch.images)), None
            else:
                (regions, images), named = self.naming.see(as_float(batch.images))
        padding = padding_of(lengths, tokens.shape[1]).to(words.device)
        losses = matching_losses(words, sentences, padding, regions.float(), images.float(),
                                 sharpness=self.config.sharpness, labels=labels)
        parts = losses._asdict()
        loss = losses.total
        if self.naming is not None and named is not None:
            parts["naming"] = self.naming.loss(named, batch.indices)
            loss = loss + self.config.naming_weight * parts["naming"]
        context.update(self.optimiser, loss)
        return {"loss": loss.detach(), **{name: value.detach() for name, value in parts.items()}}

    def _set_learning_rate(self, context: StepContext) -> None:
        rate = self.config.learning_rate
        if self.config.recipe == "paper":
            steps = max(1, len(self.pictures) // self.config.batch_size)  # the authors' loader drops the last batch
            epoch, within = divmod(context.step, steps)
            if within == 0:
                self.optimiser.state.clear()
            rate *= max(_DECAY**epoch, _DECAY ** math.ceil(math.log(_LEAST) / math.log(_DECAY)))
        else:
            rate *= warmed_cosine(context.step, context.fraction)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> None:
        return None

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """``r_precision``: of at most 1000 held-out *real* pictures, 100 candidates, with these encoders."""
        if self.held_out is None:
            return {}
        count = len(self.held_out)
        chosen = np.unique(np.linspace(0, count - 1, min(_VALIDATION_PICTURES, count)).astype(int))
        scorer = DamsmScorer(self.config, self.components(modules), name="this run").to(context.device)
        kinds = chosen if self.held_out.labels is None else self.held_out.labels[chosen]
        if len(np.unique(kinds)) < 2:
            kinds = chosen
        captions = scorer.captions([self.held_out.captions_of(int(index))[0] for index in chosen])
        images = scorer.images(self.held_out.pixels(self.config.image_size)[chosen])
        result = r_precision(images, captions, captions, kinds=kinds, pool_kinds=kinds, encoder=scorer.name, folds=1)
        return {"r_precision": result.value}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        """``text_encoder`` and ``image_encoder``, and what is needed to rebuild them: ``vocabulary``, ``damsm``."""
        return Components({name: weights_of(modules[name]) for name in self.averaged},
                          {"vocabulary": self.vocabulary.to_json(), "damsm": to_json(self.config)})


def _counted_captions(config: DamsmConfig, corpus: Corpus) -> list[str]:
    names = corpus.splits() if config.text.all_splits else ("train",)
    return [caption for name in names for caption in corpus.split(name).captions]
