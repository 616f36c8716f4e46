"""The two adversarial stages of StackGAN: the sketch (Stage I) and the refinement (Stage II)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limner.data.batch import Batch, BatchPlan, as_float
from limner.data.pictures import Corpus
from limner.nn.augmentation import augment
from limner.nn.conditioning import Condition, kl_divergence
from limner.nn.layout import channels_last
from limner.systems.stackgan.build import (
    StageName,
    build_discriminator,
    build_refinement_generator,
    build_sketch_generator,
    condition_noise,
    initialise,
    read_captions,
    table_components,
)
from limner.systems.stackgan.config import GanTraining, StackGanConfig
from limner.systems.stackgan.losses import Logits, discriminator_loss, generator_loss
from limner.training.schedule import Schedule
from limner.training.stage import Components, Samples, StepContext, weights_of


class Painted(NamedTuple):
    """Pictures of a step (B, 3, S, S) and the condition that they were painted from."""

    images: Tensor
    condition: Condition


class StackGanStage:
    """One adversarial stage, update for update as in the authors' code.

    The discriminator sees real, mismatched and painted pairs, each with its own batch statistics (the mismatched
    captions of the PyTorch release reuse the features of the real pictures); then the generator is judged by the
    updated discriminator. The refinement keeps the sketch's generator unchanged, but in training mode: it paints with
    the statistics of the batch, and its stored ones move.
    """

    def __init__(self, stage: StageName, config: StackGanConfig, corpus: Corpus, components: Components, seed: int
                 ) -> None:
        self.name: StageName = stage
        self.config = config
        self.gan: GanTraining = getattr(config, stage)
        self.captions = read_captions(config, corpus, components)
        self._table = table_components(config, corpus)
        self.sketch = build_sketch_generator(config)
        self.refinement = build_refinement_generator(config) if stage == "refinement" else None
        self.generator: nn.Module = self.refinement or self.sketch
        self.discriminator = build_discriminator(config, stage)
        self.averaged: tuple[str, ...] = (stage,)
        self.modules: dict[str, nn.Module] = {stage: self.generator, "discriminator": self.discriminator}
        for name, network in self.modules.items():
            initialise(network, seed, f"stackgan/{stage}/{name}")
            channels_last(network)
        if self.refinement is not None:
            self.sketch.load_state_dict(components.weights["sketch"])
            channels_last(self.sketch).requires_grad_(False)
            self.modules["sketch"] = self.sketch
        self.optimisers = {
            name: torch.optim.Adam(self.modules[name].parameters(), self.gan.learning_rate, (0.5, 0.999), fused=True)
            for name in (stage, "discriminator")
        }

    @property
    def schedule(self) -> Schedule:
        return self.gan.schedule

    @property
    def plan(self) -> BatchPlan:
        networks = self.config.networks
        size = networks.sketch_size if self.refinement is None else networks.image_size
        return BatchPlan(batch_size=self.gan.batch_size, image_size=size, scale_size=self.gan.scale_size(size),
                         flip=self.gan.flip, captions_per_image=self.gan.captions,
                         wrong_images=self.gan.wrong == "image")

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        self._set_learning_rate(context)
        if self.gan.frozen_statistics:
            self.sketch.eval()
        text = self.captions.of(batch.captions, context.device)
        painted = self._paint(text, context, "", keep=not self.gan.fresh_noise)
        losses = self._train_discriminator(batch, text, painted, context)
        if self.gan.fresh_noise:
            painted = self._paint(text, context, "again/", keep=True)
        losses |= self._train_generator(text, painted, context)
        return {name: value.detach() for name, value in losses.items()}

    def _paint(self, text: Tensor, context: StepContext, purpose: str, *, keep: bool) -> Painted:
        """The batch's captions painted with noise of an address; ``keep`` for a pass that the generator learns from."""
        networks = self.config.networks
        noise = context.normal(f"{purpose}noise", len(text), networks.noise_size)
        first = condition_noise(networks, context.normal(f"{purpose}sketch", len(text), networks.condition_size))
        with context.autocast(), torch.set_grad_enabled(keep):
            if self.refinement is None:
                return Painted(*self.sketch(text, noise, first))
            second = condition_noise(networks, context.normal(f"{purpose}refinement", len(text),
                                                              networks.condition_size))
            with torch.no_grad():
                sketch, _ = self.sketch(text, noise, first)
            return Painted(*self.refinement(sketch, text, second))

    def _train_discriminator(self, batch: Batch, text: Tensor, painted: Painted, context: StepContext
                             ) -> dict[str, Tensor]:
        told = self._told(text, painted)
        fake = painted.images.detach()
        with context.autocast():
            real_features = self._look(as_float(batch.images), "real", context)
            real = self._judged(real_features, told)
            wrong = self._wrong(batch, real_features, told, context)
            of_fake = self._judged(self._look(fake, "fake", context), told)
        parts = discriminator_loss(real, wrong, of_fake)
        context.update(self.optimisers["discriminator"], parts.total)
        return {"discriminator": parts.total, "real": parts.real, "wrong": parts.wrong, "fake": parts.fake}

    def _train_generator(self, text: Tensor, painted: Painted, context: StepContext) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(False)
        with context.autocast():
            judged = self._judged(self._look(painted.images, "paint", context), self._told(text, painted))
        self.discriminator.requires_grad_(True)
        loss = generator_loss(judged)
        parts = {"generator": loss}
        if self.config.networks.augmentation:
            parts["kl"] = kl_divergence(painted.condition.mean, painted.condition.log_variance)
            loss = loss + self.gan.kl_weight * parts["kl"]
        context.update(self.optimisers[self.name], loss)
        return parts

    def _told(self, text: Tensor, painted: Painted) -> Tensor:
        """What the discriminator is told of the captions; no gradient flows back to the condition through it."""
        return text if self.config.networks.discriminator_reads == "caption" else painted.condition.mean.detach()

    def _wrong(self, batch: Batch, real_features: Tensor, told: Tensor, context: StepContext) -> Tensor:
        """Logits of real pictures with captions that are not theirs."""
        if batch.wrong_images is not None:
            return self.discriminator.judge(self._look(as_float(batch.wrong_images), "wrong", context), told)
        logits = self.discriminator.judge(real_features[:-1], told[1:])
        if not self.gan.skip_own_class:
            return logits
        kinds = batch.indices if batch.labels is None else batch.labels
        return logits.masked_fill(kinds[:-1] == kinds[1:], -torch.inf)  # surely not real: no loss, no gradient

    def _look(self, images: Tensor, purpose: str, context: StepContext) -> Tensor:
        if self.gan.augment:
            images = augment(images, context.uniform(purpose, len(images), 7), self.gan.augment)
        return self.discriminator.look(images)

    def _judged(self, features: Tensor, told: Tensor) -> Logits:
        return Logits(self.discriminator.judge(features, told), self.discriminator.judge_alone(features))

    def _set_learning_rate(self, context: StepContext) -> None:
        """Halved at the start of epochs ``halve_every``, twice that, ..., counted from 0."""
        epoch = context.images_seen // len(self.captions.pictures)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.gan.learning_rate * 0.5 ** (epoch // self.gan.halve_every)

    def _painter(self, modules: Mapping[str, nn.Module]) -> tuple[Any, int]:
        """Noise and embeddings to pictures, and how long that noise is: it holds that of both conditions as well."""
        networks = self.config.networks
        sizes = [networks.noise_size, networks.condition_size, networks.condition_size]

        def paint(noise: Tensor, text: Tensor) -> Tensor:
            free, first, second = noise.split(sizes, dim=1)
            sketch, _ = modules["sketch"](text, free, condition_noise(networks, first))
            if self.refinement is None:
                return sketch
            return modules["refinement"](sketch, text, condition_noise(networks, second))[0]

        return paint, sum(sizes)

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples:
        return self.captions.sample(*self._painter(modules), context.device)

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """``agreement``, where a matching model was trained that can judge it."""
        if self.captions.judge is None:
            return {}
        return {"agreement": self.captions.agreement(*self._painter(modules), context.device)}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        """The stage's generator; the refinement also gives the sketch's again, whose stored statistics have moved."""
        names = ("sketch",) if self.refinement is None else ("sketch", "refinement")
        return Components({name: weights_of(modules[name]) for name in names}) | self._table
