"""The two adversarial stages of StackGAN: the sketch (Stage I) and the refinement (Stage II)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.data.batch import Batch, BatchPlan, as_float
from limner.data.pictures import Corpus
from limner.nn.augmentation import augment
from limner.nn.conditioning import Condition, kl_divergence
from limner.nn.layout import channels_last
from limner.nn.losses import energy_score, penalty_now, steepness, variety
from limner.nn.matching_discriminator import MatchingDiscriminator
from limner.nn.recognition import Recognition, nats
from limner.nn.whitening import fit_whitening
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
from limner.systems.stackgan.losses import Logits, discriminator_loss, generator_loss, inconsistency
from limner.systems.stackgan.networks import ModulatedSketchGenerator
from limner.training.schedule import Schedule, falling
from limner.training.stage import Components, Samples, StepContext, WorkContext, weights_of


class Painted(NamedTuple):
    """Pictures of a step, the condition that they were painted from, and the noise beside it."""

    images: Tensor
    """(B, 3, S, S) in -1..1."""
    condition: Condition
    noise: Tensor
    """(B, Z)."""
    sketches: Tensor | None
    """(B, 3, s, s) in -1..1: what a refinement refined."""
    recognised: Condition | None
    """Of the noise that pictures are restored from."""


class StackGanStage:
    """One adversarial stage, update for update as in the authors' code.

    The discriminator sees real, mismatched and painted pairs (mismatched captions are judged with the features of the
    real pictures); then the generator is judged by the updated discriminator. With batch normalisation each kind of
    picture goes through the discriminator by itself, for its own statistics, as in both releases; without, all in one
    pass. The refinement keeps the sketch's generator unchanged, but in training mode: it paints with the statistics of
    the batch, and its stored ones move.
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
        lent = self.captions.lent_channels if config.networks.encoder_maps else ()
        self.discriminator = build_discriminator(config, stage, lent=lent)
        self.averaged: tuple[str, ...] = (stage,)
        self.modules: dict[str, nn.Module] = {stage: self.generator, "discriminator": self.discriminator}
        self.recognition: Recognition | None = None
        if stage == "sketch" and self.gan.reconstruction_weight:
            self.recognition = self.modules["recognition"] = Recognition(
                image_size=config.networks.sketch_size, width=config.networks.recognition_width,
                text_size=config.text_size, noise_size=config.networks.noise_size)
        for name, network in self.modules.items():
            if not isinstance(network, (ModulatedSketchGenerator, MatchingDiscriminator, Recognition)):
                initialise(network, seed, f"stackgan/{stage}/{name}")
            if name == stage and config.networks.first_deviation != 1:
                self.generator.augmentation.begin_with(config.networks.first_deviation)  # type: ignore[union-attr]
            channels_last(network)
            fit_whitening(network, self.captions.embeddings)
        if self.refinement is not None:
            self.sketch.load_state_dict(components.weights["sketch"])
            channels_last(self.sketch).requires_grad_(False)
            self.modules["sketch"] = self.sketch
        self.optimisers = {
            name: torch.optim.Adam(itertools.chain.from_iterable(each.parameters() for each in networks),
                                   self.gan.learning_rate, (0.5, self.gan.second_beta), fused=True)
            for name, networks in ((stage, [self.generator, *filter(None, [self.recognition])]),
                                   ("discriminator", [self.discriminator]))
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
                         wrong_images=self.gan.wrong == "image", rows_together=self.gan.rows_together)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        self._set_learning_rate(context)
        if self.gan.frozen_statistics:
            self.sketch.eval()
        text = self.captions.of(batch.captions, context.device)
        penalties = tuple(penalty_now(weight, context.step)
                          for weight in (self.gan.gradient_penalty, self.gan.painted_penalty))
        losses = context.recorded(partial(self._learn, penalties=penalties), batch.images, batch.wrong_images, text,
                                  *self._other_captions(batch, text, context), kind=penalties)
        return {name: value.detach() for name, value in losses.items()}

    def _other_captions(self, batch: Batch, text: Tensor, context: StepContext) -> tuple[Tensor | None, Tensor | None]:
        """Embeddings of other captions for the real pictures, and which of them are wrong; None for the authors'."""
        if not self.gan.wrong_captions:
            return None, None
        kinds = batch.indices if batch.labels is None else batch.labels
        return self.captions.wrong(text, batch.captions[:, 0], kinds, context,
                                   close_share=self.gan.close_wrong_share, count=self.gan.wrong_captions)

    def _learn(self, context: WorkContext, images: Tensor, wrong_images: Tensor | None, text: Tensor,
               other: Tensor | None, is_wrong: Tensor | None, *, penalties: tuple[float, ...]) -> dict[str, Tensor]:
        """Both updates. ``penalties``: weights of the penalties on real and on painted pictures."""
        told = self._told(text, context)
        asked, told_asked = self._asked(text), self._asked(told)
        real = as_float(images)
        painted = self._paint(asked, real, context, "", keep=not self.gan.fresh_noise)
        pictures = {"real": real, "fake": painted.images.detach()}
        if wrong_images is not None:
            pictures = {"real": real, "wrong": as_float(wrong_images), "fake": pictures["fake"]}
        others = None if other is None or is_wrong is None else (other, is_wrong)
        losses = self._train_discriminator(pictures, (told, told_asked), others, penalties, context)
        if self.gan.fresh_noise:
            painted = self._paint(asked, real, context, "again/", keep=True)
        return losses | self._train_generator(painted, real, told_asked, context)

    def _restored(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of pictures to be restored, and the others."""
        count = len(rows) // 2 if self.gan.reconstruction_weight else 0
        return rows[:count], rows[count:]

    def _asked(self, rows: Tensor) -> Tensor:
        """Of a batch's rows those that are painted: all, or of those that are not restored the first half twice."""
        restored, others = self._restored(rows)
        return torch.cat([restored, others.chunk(2)[0].repeat(2, 1)]) if self.gan.paints_twice else rows

    def _paint(self, text: Tensor, real: Tensor, context: WorkContext, purpose: str, *, keep: bool) -> Painted:
        """Captions painted with noise of an address; ``keep`` for a pass that the generator learns from.

        Where captions are painted twice, both have one condition: the noise beside it is to bring the variety. Of the
        batch's pictures ``real`` some are restored: by the sketch from noise recognised in them, by the refinement from
        themselves scaled down; the condition is then its mean.
        """
        networks = self.config.networks
        noise = context.normal(f"{purpose}noise", len(text), networks.noise_size)
        conditions = []
        for name in ("sketch",) if self.refinement is None else ("sketch", "refinement"):
            restored, others = self._restored(self._asked(
                context.normal(f"{purpose}{name}", len(text), networks.condition_size)))
            conditions.append(torch.cat([torch.zeros_like(restored), others]))
        shown, _ = self._restored(real)
        count = len(shown)
        sketches = recognised = None
        with context.autocast(), torch.set_grad_enabled(keep):
            if self.refinement is None:
                if self.recognition is not None:
                    recognised = self.recognition(shown, text[:count], noise[:count])
                    noise = torch.cat([recognised.code, noise[count:]])
                images, condition = self.sketch(text, noise, condition_noise(networks, conditions[0]))
            else:
                with torch.no_grad():
                    sketches, _ = self.sketch(text[count:], noise[count:],
                                              condition_noise(networks, conditions[0][count:]))
                    if count:
                        small = functional.interpolate(shown, sketches.shape[2:], mode="area")
                        sketches = torch.cat([small, sketches])
                images, condition = self.refinement(sketches, text, condition_noise(networks, conditions[1]))
        return Painted(images, condition, noise, sketches, recognised)

    def _train_discriminator(self, images: Mapping[str, Tensor], told: tuple[Tensor, Tensor],
                             others: tuple[Tensor, Tensor] | None, penalties: tuple[float, ...], context: WorkContext
                             ) -> dict[str, Tensor]:
        """``told``: what the discriminator is told of the captions of real pictures and of painted ones."""
        with context.autocast():
            seen = self._look(images, context)
            real = self._judged(seen["real"], told[0])
            if "wrong" in seen:
                wrong = self.discriminator.judge(seen["wrong"], told[0])
            else:
                wrong = self._judged_wrongly(seen["real"], told[0], others, context)
            painted = self._judged(seen["fake"], told[1])
        parts = discriminator_loss(real, wrong, painted, loss=self.gan.loss)
        losses = {"discriminator": parts.total, "real": parts.real, "wrong": parts.wrong, "fake": parts.fake}
        for name, kind, captions, weight in zip(("penalty", "painted_penalty"), ("real", "fake"), told, penalties,
                                                strict=True):
            if weight:
                losses[name] = steepness(partial(self._score, told=captions), images[kind])
                losses["discriminator"] = losses["discriminator"] + weight * losses[name]
        context.update(self.optimisers["discriminator"], losses["discriminator"])
        return losses

    def _score(self, images: Tensor, told: Tensor) -> Tensor:
        """All that the discriminator says of pictures, (B,)."""
        logits = self._judged(self._looked(images), told)
        return logits.matched if logits.alone is None else logits.matched + logits.alone

    def _train_generator(self, painted: Painted, real: Tensor, told: Tensor, context: WorkContext
                         ) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(False)
        with context.autocast():
            judged = self._judged(self._look({"paint": painted.images}, context)["paint"], told)
        self.discriminator.requires_grad_(True)
        loss = generator_loss(judged, loss=self.gan.loss)
        parts = {"generator": loss}
        if self.config.networks.augmentation:
            parts["kl"] = kl_divergence(painted.condition.mean, painted.condition.log_variance)
            loss = loss + self.gan.kl_weight * parts["kl"]
        shown, others = self._restored(real)
        restored, free = self._restored(painted.images)
        if self.gan.variety_weight:
            parts["variety"] = variety(free, painted.noise[len(shown):], goal=self.gan.variety_goal)
            loss = loss - self.gan.variety_weight * parts["variety"]
        if self.gan.energy_weight:
            parts["energy"] = energy_score(free, others.chunk(2)[0])
            loss = loss + self.gan.energy_weight * parts["energy"]
        if self.gan.reconstruction_weight:
            parts["error"] = functional.mse_loss(restored.float(), shown)
            loss = loss + self.gan.reconstruction_weight * parts["error"]
        if painted.recognised is not None:
            parts["nats"] = nats(painted.recognised)
            loss = loss + self.gan.recognition_weight * parts["nats"]
        if self.gan.consistency_weight and painted.sketches is not None:
            parts["inconsistency"] = inconsistency(painted.images, painted.sketches)
            loss = loss + self.gan.consistency_weight * parts["inconsistency"]
        context.update(self.optimisers[self.name], loss)
        return parts

    @torch.no_grad()
    def _told(self, text: Tensor, context: WorkContext) -> Tensor:
        """What the discriminator is told of captions: their embeddings, or the means of the generator's conditions. No
        gradient flows back through it."""
        if self.config.networks.reads_captions:
            return text
        with context.autocast():
            return self.generator.augmentation(text, None).mean  # type: ignore[union-attr,operator]

    def _judged_wrongly(self, real: Tensor, told: Tensor, others: tuple[Tensor, Tensor] | None, context: WorkContext
                        ) -> Tensor:
        """Logits of what was seen of real pictures, each with other captions; as in the authors' code, all but the last
        with the next row's, or as ``wrong_captions`` says."""
        if others is None:
            return self.discriminator.judge(real[:-1], told[1:])
        other, is_wrong = others
        logits = self.discriminator.judge(real, self._told(other, context))
        return logits.masked_fill(~is_wrong, -torch.inf)  # surely not real: no loss, no gradient

    def _look(self, images: Mapping[str, Tensor], context: WorkContext) -> dict[str, Tensor]:
        """What the discriminator sees of kinds of pictures."""
        if self.gan.augment:
            images = {kind: augment(each, context.uniform(kind, len(each), 7), self.gan.augment)
                      for kind, each in images.items()}
        if self.discriminator.by_batch:
            return {kind: self._looked(each) for kind, each in images.items()}
        seen = self._looked(torch.cat(list(images.values())))
        return dict(zip(images, seen.split([len(each) for each in images.values()]), strict=True))

    def _looked(self, images: Tensor) -> Tensor:
        if isinstance(self.discriminator, MatchingDiscriminator):
            lent = self.captions.lent(images) if self.config.networks.encoder_maps else ()
            return self.discriminator.look(images, lent)
        return self.discriminator.look(images)

    def _judged(self, features: Tensor, told: Tensor) -> Logits:
        return Logits(self.discriminator.judge(features, told), self.discriminator.judge_alone(features))

    def _set_learning_rate(self, context: StepContext) -> None:
        """Halved at the start of epochs ``halve_every``, twice that, ..., counted from 0; falls to zero at the end."""
        epoch = context.images_seen // len(self.captions.pictures)
        factor = 0.5 ** (epoch // self.gan.halve_every) * falling(context.fraction, self.gan.decay_from)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.gan.learning_rate * factor

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
        """``agreement``, where a matching model was trained that can judge it; ``memorised`` (see ``Captions``), where
        a discriminator without batch statistics can be asked."""
        figures, paint = {}, self._painter(modules)
        if not self.discriminator.by_batch:
            with context.autocast():
                memorised = self.captions.memorised(
                    lambda images, text: self.discriminator.judge(self._looked(images), self._told(text, context)),
                    *paint, size=self.plan.image_size, device=context.device)
            if memorised is not None:
                figures["memorised"] = memorised
        if self.captions.judge is not None:
            figures["agreement"] = self.captions.agreement(*paint, context.device)
        return figures

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        """The stage's generator; the refinement also gives the sketch's again, whose stored statistics have moved."""
        names = ("sketch",) if self.refinement is None else ("sketch", "refinement")
        return Components({name: weights_of(modules[name]) for name in names}) | self._table
