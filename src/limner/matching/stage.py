"""The stage that trains a text encoder by structured joint embedding (Reed et al., CVPR 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from limner.config import to_json
from limner.data.batch import Batch, BatchPlan, as_float
from limner.data.pictures import Corpus, PictureSet
from limner.matching import recipe
from limner.matching.config import MatchingConfig
from limner.matching.losses import (
    matching_accuracy,
    structured_joint_embedding_loss,
    symmetric_structured_joint_embedding_loss,
)
from limner.matching.naming import Naming
from limner.matching.retrieval import ZeroShotScores, class_text_vectors, zero_shot_scores
from limner.nn.initialisation import seeded_initialisation
from limner.nn.layout import channels_last
from limner.text.characters import CharacterTokeniser
from limner.text.encoders import TextEncoder, build_text_encoder
from limner.text.tokenisers import Tokeniser, tokeniser_from_json
from limner.text.words import WordTokeniser
from limner.training.schedule import Schedule, warmed_cosine
from limner.training.stage import Components, StepContext, loaded, weights_of
from limner.vision.encoders import SmallImageEncoder, build_image_encoder

_VALIDATION_PICTURES = 2000
_CHUNK = 256


def build_tokeniser(config: MatchingConfig, captions: list[str]) -> Tokeniser:
    """The tokeniser that the text encoder reads with: characters, or words counted from these training captions."""
    if config.text.pattern.reads == "characters":
        return CharacterTokeniser(length=config.text.length)
    return WordTokeniser.from_captions(captions, length=config.text.length, min_count=config.min_count)


class MatchingStage:
    """Trains text encoder and image encoder so that a caption's vector and its picture's have a large dot product."""

    averaged = ("text_encoder", "image_encoder")

    def __init__(self, config: MatchingConfig, corpus: Corpus, seed: int) -> None:
        self.config = config
        self.pictures = corpus.split("train")
        self.held_out = next((corpus.split(name) for name in ("val", "test") if name in corpus.splits()), None)
        self.tokeniser = build_tokeniser(config, self.pictures.captions)
        self.tokens = torch.from_numpy(self.tokeniser.encode(self.pictures.captions).astype(np.int32))
        self.text_encoder = build_text_encoder(config.text, self.tokeniser.vocabulary_size, seed=seed)
        with seeded_initialisation(seed, "image-encoder"):
            self.image_encoder = build_image_encoder(
                config.image, image_size=config.image_size, embedding=config.text.embedding
            )
        channels_last(self.image_encoder)
        self.modules: dict[str, nn.Module] = {"text_encoder": self.text_encoder, "image_encoder": self.image_encoder}
        self.naming: Naming[Tensor] | None = None
        if isinstance(self.image_encoder, SmallImageEncoder) and config.naming_weight:
            self.naming = Naming(self.image_encoder, self.tokens.numpy(), self.pictures.caption_ranges,
                                 words=self.tokeniser.vocabulary_size, seed=seed)
            self.modules["namer"] = self.naming.namer
        parameters = [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]
        if config.recipe == "paper":
            self.optimiser: torch.optim.Optimizer = recipe.optimiser(parameters, learning_rate=config.learning_rate)
        else:
            self.optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, betas=(0.9, 0.99),
                                               weight_decay=1e-2)
        self.optimisers = {"matching": self.optimiser}

    @property
    def schedule(self) -> Schedule:
        """As configured; the best checkpoint can only be told where there are held-out pictures."""
        return self.config.schedule if self.held_out is not None else replace(self.config.schedule, best="")

    @property
    def plan(self) -> BatchPlan:
        labels = self.pictures.labels
        classes = 0 if labels is None else len(np.unique(labels))
        return BatchPlan(
            batch_size=self.config.batch_size,
            image_size=self.config.image_size,
            scale_size=self.config.scale_size,
            flip=self.config.flip,
            distinct_classes=classes >= self.config.batch_size,
        )

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate(context)
        tokens = self.tokens[batch.captions[:, 0].cpu()].to(context.device, torch.int64)
        with context.autocast():
            texts = self.text_encoder(tokens)
            if self.naming is None:
                images, named = self.image_encoder(as_float(batch.images)), None
            else:
                images, named = self.naming.see(as_float(batch.images))
        texts, images = texts.float(), images.float()
        own = torch.arange(len(images), device=images.device)
        if self.config.symmetric:
            loss = symmetric_structured_joint_embedding_loss(images, texts)
        else:
            loss = structured_joint_embedding_loss(images, texts, own)
        parts = {}
        if self.naming is not None and named is not None:
            parts["naming"] = self.naming.loss(named, batch.indices)
            loss = loss + self.config.naming_weight * parts["naming"]
        context.update(self.optimiser, loss)
        accuracy = matching_accuracy(images.detach(), texts.detach(), own)
        return {"loss": loss.detach(), "accuracy": accuracy, **{name: part.detach() for name, part in parts.items()}}

    def _learning_rate(self, context: StepContext) -> float:
        first = self.config.learning_rate
        if self.config.recipe == "paper":
            classes = max(1, len(self.pictures.label_names))
            return recipe.learning_rate(context.step, classes=classes, start=first)
        return first * warmed_cosine(context.step, context.fraction)

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> None:
        return None

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """``top1`` of held-out pictures: zero-shot classification, or retrieval where the data has no labels.

        Where the classes have so many pictures that a perfect ranking would reach 0.9, also ``precision_at_50``.
        """
        if self.held_out is None:
            return {}
        scores = evaluate_matching(modules["text_encoder"], modules["image_encoder"], self.tokeniser, self.held_out,
                                   image_size=self.config.image_size, limit=_VALIDATION_PICTURES)
        figures = {"top1": scores.top1_micro}
        if scores.k == 50 and scores.precision_ceiling >= 0.9:
            figures["precision_at_50"] = scores.precision_at_k
        return figures

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        """``text_encoder`` and ``image_encoder``, and what is needed to rebuild them: ``tokeniser``, ``matching``."""
        return Components(
            {name: weights_of(modules[name]) for name in self.averaged},
            {"tokeniser": self.tokeniser.to_json(), "matching": to_json(self.config)},
        )


def load_text_encoder(config: MatchingConfig, components: Components) -> tuple[TextEncoder, Tokeniser]:
    """Text encoder and tokeniser from a stage's components, ready for evaluation."""
    tokeniser = tokeniser_from_json(components.assets["tokeniser"])
    encoder = build_text_encoder(config.text, tokeniser.vocabulary_size)
    return loaded(encoder, components.weights["text_encoder"]), tokeniser


def load_image_encoder(config: MatchingConfig, components: Components) -> nn.Module:
    """The image encoder from a stage's components, ready for evaluation."""
    encoder = build_image_encoder(config.image, image_size=config.image_size, embedding=config.text.embedding)
    return channels_last(loaded(encoder, components.weights["image_encoder"]))


@torch.inference_mode()
def encode_captions(encoder: nn.Module, tokens: Tensor | np.ndarray) -> Tensor:
    """Token indices (N, T) to caption vectors (N, D), float32 on the CPU, in chunks, on the encoder's device."""
    tokens = torch.as_tensor(tokens)
    device = next(encoder.parameters()).device
    return torch.cat([encoder(chunk.to(device, torch.int64)).float().cpu() for chunk in tokens.split(_CHUNK)])


def caption_reader(config: MatchingConfig, components: Components) -> Callable[[Sequence[str]], Tensor]:
    """What turns captions into vectors (N, D), float32 on the CPU."""
    encoder, tokeniser = load_text_encoder(config, components)
    return lambda captions: encode_captions(encoder, tokeniser.encode(captions))


@torch.inference_mode()
def encode_images(encoder: nn.Module, images: np.ndarray) -> Tensor:
    """uint8 pictures (N, S, S, 3) to vectors (N, D), float32 on the CPU, in chunks, on the encoder's device."""
    device = next(encoder.parameters()).device
    vectors = []
    for first in range(0, len(images), _CHUNK):
        chunk = torch.from_numpy(np.ascontiguousarray(images[first : first + _CHUNK])).permute(0, 3, 1, 2)
        vectors.append(encoder(as_float(chunk.to(device))).float().cpu())
    return torch.cat(vectors)


def evaluate_matching(text_encoder: nn.Module, image_encoder: nn.Module, tokeniser: Tokeniser, pictures: PictureSet, *,
                      image_size: int, limit: int | None = None) -> ZeroShotScores:
    """The zero-shot protocol on a split: class vectors from all its captions, precision@50 and top-1 of its pictures.

    Without labels every picture is a class of its own, so top-1 is retrieval of a picture's own captions among all.
    ``limit`` takes every n-th picture so that at most that many are scored. Both encoders are in evaluation mode.
    """
    chosen = np.arange(0, len(pictures), max(1, math.ceil(len(pictures) / limit)) if limit else 1)
    counts = np.diff(pictures.caption_ranges[chosen], axis=1)[:, 0]
    captions = [caption for index in chosen for caption in pictures.captions_of(int(index))]
    labels = chosen if pictures.labels is None else pictures.labels[chosen]
    _, classes = np.unique(labels, return_inverse=True)
    image_classes = torch.from_numpy(classes.astype(np.int64))
    texts = encode_captions(text_encoder, tokeniser.encode(captions))
    images = encode_images(image_encoder, pictures.pixels(image_size)[chosen])
    caption_classes = torch.repeat_interleave(image_classes, torch.from_numpy(counts))
    vectors = class_text_vectors(texts, caption_classes, int(image_classes.max()) + 1)
    return zero_shot_scores(images, image_classes, vectors, k=min(50, len(images)))
