"""The adversarial stage of the paper, and the style encoder's stage."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.data.batch import Batch, BatchPlan, as_float
from limner.data.pictures import Corpus
from limner.nn.initialisation import hold_convolution_biases_at_zero, initialise_gan
from limner.nn.layout import channels_last
from limner.nn.optimisers import Torch7Adam
from limner.randomness import torch_generator
from limner.systems.captions import matched_captions
from limner.systems.gan_cls.build import build_generator, build_style_encoder
from limner.systems.gan_cls.config import GanClsConfig, PaperGan, StyleConfig
from limner.systems.gan_cls.losses import discriminator_loss, generator_loss, interpolate_text
from limner.systems.gan_cls.networks import Discriminator
from limner.training.schedule import Schedule
from limner.training.stage import Components, Samples, StepContext, loaded, weights_of


class PaperGanStage:
    """GAN, GAN-CLS, GAN-INT or GAN-INT-CLS, update for update as in the authors' scripts.

    Three separate passes of the discriminator (real, wrong, fake), each with its own batch statistics; fresh noise for
    the generator's update; convolution biases held at zero.
    """

    averaged = ("generator",)

    def __init__(self, config: GanClsConfig, gan: PaperGan, corpus: Corpus, components: Components, seed: int) -> None:
        self.gan = gan
        self.captions = matched_captions(config.matching, corpus, components)
        text_size = config.matching.text.embedding
        self.generator = build_generator(config)
        int_script = gan.script == "main_cls_int"
        self.discriminator = Discriminator(
            text_size=text_size, text_projection=gan.text_projection, width=gan.discriminator_width,
            activate_conv2=not int_script, text_batch_norm=int_script,
        )
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        for name, network in self.modules.items():
            initialise_gan(network, torch_generator(seed, f"gan-cls/{name}"))
            hold_convolution_biases_at_zero(network)
            channels_last(network)
        self.optimisers = {name: _adam(network, gan.learning_rate) for name, network in self.modules.items()}

    @property
    def schedule(self) -> Schedule:
        return self.gan.schedule

    @property
    def plan(self) -> BatchPlan:
        gan = self.gan
        return BatchPlan(
            batch_size=gan.batch_size, image_size=gan.image_size, scale_size=gan.scale_size, crop_offset_low=1,
            flip=gan.flip, captions_per_image=gan.captions, captions_with_replacement=gan.captions_with_replacement,
            balance_classes=gan.balance_classes and self.captions.pictures.labels is not None,
            wrong_images=gan.cls_weight > 0,
        )

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        self._set_learning_rate(context)
        text = self.captions.of(batch.captions, context.device)
        noise = context.normal("discriminator", len(text), self.gan.noise_size)
        with context.autocast():
            real = self.discriminator(as_float(batch.images), text)
            wrong = None if batch.wrong_images is None else self.discriminator(as_float(batch.wrong_images), text)
            with torch.no_grad():
                painted = self.generator(noise, text)
            fake = self.discriminator(painted, text)
        parts = discriminator_loss(real, fake, wrong=wrong, cls_weight=self.gan.cls_weight)
        context.update(self.optimisers["discriminator"], parts.total)

        spread = self._interpolated(text, context)
        noise = context.normal("generator", len(spread), self.gan.noise_size)
        self.discriminator.requires_grad_(False)
        with context.autocast():
            score = self.discriminator(self.generator(noise, spread), spread)
        loss = generator_loss(score, rows=len(text), interp_weight=self.gan.interp_weight)
        context.update(self.optimisers["generator"], loss)
        self._release_discriminator()
        losses = {"discriminator": parts.total, "real": parts.real, "fake": parts.fake, "generator": loss}
        if parts.wrong is not None:
            losses["wrong"] = parts.wrong
        return {name: value.detach() for name, value in losses.items()}

    def _interpolated(self, text: Tensor, context: StepContext) -> Tensor:
        if not self.gan.interp_weight:
            return text
        if self.gan.interp_type == 1:
            return interpolate_text(text)
        return interpolate_text(text, alpha=context.uniform("interpolation", len(text) // 2).mul(2).sub(1))

    def _release_discriminator(self) -> None:
        self.discriminator.requires_grad_(True)
        hold_convolution_biases_at_zero(self.discriminator)

    def _set_learning_rate(self, context: StepContext) -> None:
        """Halved at the start of epochs ``halve_every``, twice that, ..., counted from 1."""
        epoch = context.images_seen // len(self.captions.pictures) + 1
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.gan.learning_rate * 0.5 ** (epoch // self.gan.halve_every)

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples:
        return self.captions.sample(modules["generator"], self.gan.noise_size, context.device)

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        return {"agreement": self.captions.agreement(modules["generator"], self.gan.noise_size, context.device)}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        return Components({"generator": weights_of(modules["generator"])})


class StyleEncoderStage:
    """The style encoder S: what noise would have painted this? Minimises ||z - S(G(z, text))||^2 with G frozen.

    Source: Reed et al. 2016, section 4.4.
    """

    averaged = ("style_encoder",)

    def __init__(self, config: GanClsConfig, style: StyleConfig, corpus: Corpus, components: Components,
                 seed: int) -> None:
        self.style = style
        self.noise_size = config.gan.noise_size
        self.image_size = config.gan.image_size
        self.captions = matched_captions(config.matching, corpus, components)
        self.generator = channels_last(loaded(build_generator(config), components.weights["generator"]))
        self.encoder = build_style_encoder(config, style)
        initialise_gan(self.encoder, torch_generator(seed, "gan-cls/style-encoder"))
        channels_last(self.encoder)
        self.modules: dict[str, nn.Module] = {"style_encoder": self.encoder}
        self.optimisers = {"style_encoder": torch.optim.Adam(self.encoder.parameters(), style.learning_rate)}

    @property
    def schedule(self) -> Schedule:
        return self.style.schedule

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(batch_size=self.style.batch_size, image_size=self.image_size)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        text = self.captions.of(batch.captions, context.device)
        noise = context.normal("style", len(text), self.noise_size)
        with context.autocast():
            with torch.no_grad():
                painted = self.generator(noise, text)
            loss = functional.mse_loss(self.encoder(painted).float(), noise)
        context.update(self.optimisers["style_encoder"], loss)
        return {"style": loss.detach()}

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> None:
        return None

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        return {}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        return Components({"style_encoder": weights_of(modules["style_encoder"])})


def _adam(network: nn.Module, learning_rate: float) -> Torch7Adam:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return Torch7Adam(parameters, lr=learning_rate, betas=(0.5, 0.999), fused=True)
