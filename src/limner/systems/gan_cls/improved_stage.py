"""Our adversarial stage: one look at each picture, hinge loss, normalised layers, averaged weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from limner.data.batch import Batch, BatchPlan, as_float
from limner.data.pictures import Corpus
from limner.nn.augmentation import augment
from limner.nn.layout import channels_last
from limner.nn.losses import painted_cost, penalty_now, score_cost, steepness, variety
from limner.nn.matching_discriminator import MatchingDiscriminator
from limner.nn.whitening import fit_whitening
from limner.systems.captions import matched_captions
from limner.systems.gan_cls.build import build_generator
from limner.systems.gan_cls.config import GanClsConfig, ImprovedGan
from limner.training.schedule import Schedule, falling
from limner.training.stage import Components, Samples, StepContext, WorkContext, weights_of


class ImprovedGanStage:
    """GAN-CLS with hinge loss. The discriminator looks at real and painted pictures in one pass; the wrong pair is the
    real picture's features, already there, judged with other captions."""

    averaged = ("generator",)

    def __init__(self, config: GanClsConfig, gan: ImprovedGan, corpus: Corpus, components: Components,
                 seed: int) -> None:
        self.gan = gan
        self.captions = matched_captions(config.matching, corpus, components)
        self.generator = build_generator(config)
        self.discriminator = MatchingDiscriminator(
            text_size=config.matching.text.embedding, condition_size=gan.condition_size,
            width=gan.discriminator_width, image_size=gan.image_size,
            lent=self.captions.lent_channels if gan.encoder_maps else (),
        )
        for network in (self.generator, self.discriminator):
            fit_whitening(network, self.captions.embeddings)
            channels_last(network)
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        betas = (0.5, 0.99)
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), gan.generator_rate, betas, fused=True),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), gan.discriminator_rate, betas,
                                              fused=True),
        }

    @property
    def schedule(self) -> Schedule:
        return self.gan.schedule

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(batch_size=self.gan.batch_size, image_size=self.gan.image_size,
                         scale_size=self.gan.scale_size, flip=self.gan.flip)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        self._set_learning_rates(context)
        text = self.captions.of(batch.captions, context.device)
        other, is_wrong = self.captions.wrong(
            text, batch.captions[:, 0], batch.indices if batch.labels is None else batch.labels, context,
            close_share=self.gan.close_wrong_share, count=self.gan.wrong_captions)
        penalty = penalty_now(self.gan.gradient_penalty, context.step)
        parts = context.recorded(partial(self._learn, penalty=penalty), batch.images, text, other, is_wrong,
                                 kind=penalty)
        return {name: value.detach() for name, value in parts.items()}

    def _learn(self, context: WorkContext, images: Tensor, text: Tensor, other: Tensor, is_wrong: Tensor, *,
               penalty: float) -> dict[str, Tensor]:
        """Both updates. ``other`` and ``is_wrong``: captions for the real pictures, and which of them are wrong."""
        told = self._told(text)
        noise = context.normal("generator", len(text), self.gan.noise_size)
        with context.autocast():
            painted = self.generator(noise, told)
        parts = self._train_discriminator(as_float(images), text, (other, is_wrong), painted.detach(), told, penalty,
                                          context)
        return parts | self._train_generator(painted, noise, told, context)

    def _train_discriminator(self, real: Tensor, text: Tensor, others: tuple[Tensor, Tensor], painted: Tensor,
                             told: Tensor, penalty: float, context: WorkContext) -> dict[str, Tensor]:
        other, is_wrong = others
        with context.autocast():
            features = self._look(torch.cat([real, painted]), "look", context)
            of_real, of_painted = features.chunk(2)
            right, wrong = self.discriminator.judge(of_real, torch.cat([text, other])).tensor_split([len(text)])
            fake = self.discriminator.judge(of_painted, told)
        weight = self.gan.wrong_weight
        parts = {
            "real": score_cost(right, real=True, loss="hinge").mean(),
            "wrong": (score_cost(wrong, real=False, loss="hinge") * is_wrong).mean(),
            "fake": score_cost(fake, real=False, loss="hinge").mean(),
        }
        loss = parts["real"] + weight * parts["wrong"] + (1 - weight) * parts["fake"]
        if penalty:
            parts["penalty"] = steepness(partial(self._judged, text=text), real)
            loss = loss + penalty * parts["penalty"]
        context.update(self.optimisers["discriminator"], loss)
        return parts | {"discriminator": loss}

    def _train_generator(self, painted: Tensor, noise: Tensor, told: Tensor,
                         context: WorkContext) -> dict[str, Tensor]:
        """The same pictures as the discriminator has just seen, judged again now that it has learnt from them."""
        self.discriminator.requires_grad_(False)
        with context.autocast():
            score = self.discriminator.judge(self._look(painted, "paint", context), told)
        self.discriminator.requires_grad_(True)
        loss = painted_cost(score, loss="hinge").mean()
        parts = {}
        if self.gan.variety_weight:
            parts["variety"] = variety(painted, noise, goal=self.gan.variety_goal)
            loss = loss - self.gan.variety_weight * parts["variety"]
        context.update(self.optimisers["generator"], loss)
        return parts | {"generator": loss}

    def _told(self, text: Tensor) -> Tensor:
        """The captions to paint: those of the batch, or half of them twice where noise must bring variety."""
        return text.chunk(2)[0].repeat(2, 1) if self.gan.variety_weight else text

    def _look(self, images: Tensor, purpose: str, context: WorkContext) -> Tensor:
        """What the discriminator sees in pictures, augmented where the configuration says so."""
        if self.gan.augment:
            images = augment(images, context.uniform(purpose, len(images), 7), self.gan.augment)
        return self.discriminator.look(images, self._lent(images))

    def _lent(self, images: Tensor) -> Sequence[Tensor]:
        return self.captions.lent(images) if self.gan.encoder_maps else ()

    def _set_learning_rates(self, context: StepContext) -> None:
        factor = falling(context.fraction, self.gan.decay_from)
        for name, rate in (("generator", self.gan.generator_rate), ("discriminator", self.gan.discriminator_rate)):
            for group in self.optimisers[name].param_groups:
                group["lr"] = rate * factor

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples:
        return self.captions.sample(modules["generator"], self.gan.noise_size, context.device)

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """``agreement`` of paintings and captions; ``memorised``: see ``Captions``."""
        paint = modules["generator"], self.gan.noise_size
        with context.autocast():
            memorised = self.captions.memorised(self._judged, *paint, size=self.gan.image_size, device=context.device)
        figures = {"agreement": self.captions.agreement(*paint, context.device)}
        return figures if memorised is None else figures | {"memorised": memorised}

    def _judged(self, images: Tensor, text: Tensor) -> Tensor:
        return self.discriminator.judge(self.discriminator.look(images, self._lent(images)), text)

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        return Components({"generator": weights_of(modules["generator"])})
