"""The adversarial stage of AttnGAN."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.data.batch import Batch, BatchPlan, as_float, as_uint8
from limner.data.pictures import Corpus
from limner.matching.damsm.image_encoder import SmallRegions
from limner.matching.damsm.losses import matching_losses
from limner.matching.damsm.retrieval import r_precision
from limner.matching.damsm.scorer import DamsmScorer
from limner.matching.damsm.stage import CaptionTable
from limner.matching.damsm.text_encoder import padding_of
from limner.nn.augmentation import augment
from limner.nn.conditioning import Condition, kl_divergence
from limner.nn.layout import channels_last
from limner.nn.losses import energy_score, penalty_now, steepness, variety
from limner.nn.matching_discriminator import MatchingDiscriminator
from limner.nn.recognition import Recognition, nats
from limner.nn.whitening import fit_whitening
from limner.randomness import normal, torch_generator
from limner.systems.attngan.build import AnyDiscriminator, build_discriminator, build_generator
from limner.systems.attngan.config import AttnGanConfig
from limner.systems.attngan.losses import Read, Wrong, adversarial_loss, discriminator_loss, judged, looked
from limner.systems.attngan.networks import (
    AnyGenerator,
    ModulatedGenerator,
    Painted,
    initialise_attngan,
)
from limner.systems.captions import Captions, held_out_pictures, shown_captions
from limner.training.schedule import Schedule, falling
from limner.training.stage import Components, Samples, StepContext, WorkContext, weights_of

_COLUMNS = 8
_JUDGED, _CANDIDATES = 256, 32
_CHUNK = 32


class _Told(NamedTuple):
    """What a step paints."""

    text: Read
    labels: Tensor | None
    noise: Tensor
    condition_noise: Tensor
    pictures: Tensor | None
    """Rows (B,) of the pictures that the paintings belong to, the restored ones first; None: all in order."""


class AttnGanStage:
    """One step: paint once, train each discriminator on its size, then the generator against all of them and DAMSM.

    Rows are sorted by falling number of words, as in the authors' code: their wrong pairs and their mask depend on it.
    With ``reconstruction_weight`` half of the pictures are restored. Of the captions of the others, with
    ``variety_weight`` or ``energy_weight``, half are painted, each twice.
    """

    averaged = ("generator",)

    def __init__(self, config: AttnGanConfig, corpus: Corpus, components: Components, seed: int) -> None:
        self.config, self.gan = config, config.gan
        self.scorer = DamsmScorer(config.damsm, components, name="this run's own")
        self.pictures = corpus.split("train")
        self.captions = CaptionTable(self.scorer.vocabulary, self.pictures.captions, length=self.gan.length)
        held_out = held_out_pictures(corpus)
        chosen = np.unique(np.linspace(0, len(held_out) - 1, min(_JUDGED, len(held_out))).astype(int))
        self._judged = [held_out.captions_of(int(index))[0] for index in chosen]
        self._shown = shown_captions(held_out, chosen)
        self._kinds = chosen if held_out.labels is None else held_out.labels[chosen]
        if len(np.unique(self._kinds)) < 2:
            self._kinds = chosen
        embeds = self.gan.wrong_captions or self.gan.whitened or self.gan.discriminator == "matching"
        self.table = Captions(corpus, self.scorer.captions) if embeds else None
        self.lender: SmallRegions | None = None
        if self.gan.encoder_maps:
            assert isinstance(self.scorer.image_encoder, SmallRegions)
            self.lender = self.scorer.image_encoder
        self.generator = build_generator(config)
        self.discriminators = {
            f"discriminator{side}": build_discriminator(config, side, lent=self._lent_channels(side))
            for side in self.gan.painted_sides
        }
        self.modules: dict[str, nn.Module] = {"generator": self.generator, **self.discriminators}
        self.recognition: Recognition | None = None
        if self.gan.reconstruction_weight:
            self.recognition = self.modules["recognition"] = Recognition(
                image_size=self.gan.image_size, width=self.gan.recognition_width, text_size=config.damsm.embedding,
                noise_size=self.gan.noise_size)
        for name, network in self.modules.items():
            if not isinstance(network, (ModulatedGenerator, MatchingDiscriminator, Recognition)):
                initialise_attngan(network, torch_generator(seed, f"attngan/{name}"))
            if isinstance(network, AnyGenerator) and self.gan.first_deviation != 1:
                network.conditioning.begin_with(self.gan.first_deviation)
            channels_last(network)
            if self.table is not None:
                fit_whitening(network, self.table.embeddings)
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(itertools.chain.from_iterable(each.parameters() for each in networks), rate,
                                   (0.5, self.gan.second_beta), fused=True)
            for name, rate, networks in (
                ("generator", self.gan.generator_rate, [self.generator, *filter(None, [self.recognition])]),
                *((name, self.gan.discriminator_rate, [each]) for name, each in self.discriminators.items()))
        }

    def _lent_channels(self, side: int) -> Sequence[int]:
        return () if self.lender is None or side < self.lender.image_size else self.lender.map_channels

    @property
    def schedule(self) -> Schedule:
        return self.gan.schedule

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(batch_size=self.gan.batch_size, image_size=self.gan.image_size,
                         scale_size=self.gan.scale_size, flip=self.gan.flip, rows_together=self.gan.rows_together)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        self._set_learning_rates(context)
        tokens, lengths = self.captions.take(batch.captions, context)
        lengths, order = lengths.sort(descending=True, stable=True)
        tokens, images = tokens[order.to(tokens.device)], batch.images[order.to(batch.images.device)]
        kinds = batch.indices if batch.labels is None else batch.labels
        kinds = kinds[order.to(kinds.device)]
        text = self._read(tokens, lengths, self.captions.steps, context.device)
        told = self._told(text, None if batch.labels is None else kinds, order, context)
        wrong = self._wrong(batch.captions[:, 0][order.to(batch.captions.device)], kinds, context)
        penalties = tuple(penalty_now(weight, context.step)
                          for weight in (self.gan.gradient_penalty, self.gan.painted_penalty))
        other, weights = (None, None) if wrong is None else wrong
        losses = context.recorded(partial(self._learn, penalties=penalties), images, told.labels, told.noise,
                                  told.condition_noise, told.pictures, weights, *text, *told.text, *(other or ()),
                                  kind=penalties)
        return {name: value.detach() for name, value in losses.items()}

    def _learn(self, context: WorkContext, images: Tensor, labels: Tensor | None, noise: Tensor,
               condition_noise: Tensor, pictures: Tensor | None, weights: Tensor | None, *parts: Tensor,
               penalties: tuple[float, ...]) -> dict[str, Tensor]:
        """All updates. ``parts``: of captions of the real pictures, of those to paint, and of wrong ones with their
        ``weights``."""
        text, to_paint, *other = (Read(*parts[i:i + 3]) for i in range(0, len(parts), 3))
        reals = pyramid(images, self.gan.painted_sides)
        told, recognised = _Told(to_paint, labels, noise, condition_noise, pictures), None
        with context.autocast():
            if self.recognition is not None and pictures is not None:
                count = self._restored(len(images))
                recognised = self.recognition(reals[-1][pictures[:count]], told.text.sentences[:count], noise[:count])
                told = told._replace(noise=torch.cat([recognised.code, noise[count:]]))
            painted = self.generator(told.noise, told.condition_noise, *told.text)
        wrong = None if weights is None else Wrong(other[0], weights)
        losses = self._train_discriminators(reals, painted, text, told.text, wrong, penalties, context)
        return losses | self._train_generator(reals, painted, recognised, told, context)

    def _restored(self, rows: int) -> int:
        """How many pictures of a batch are restored."""
        return rows // 2 if self.gan.reconstruction_weight else 0

    def _set_learning_rates(self, context: StepContext) -> None:
        factor = falling(context.fraction, self.gan.decay_from)
        for name, optimiser in self.optimisers.items():
            rate = self.gan.generator_rate if name == "generator" else self.gan.discriminator_rate
            for group in optimiser.param_groups:
                group["lr"] = rate * factor

    def _told(self, text: Read, labels: Tensor | None, order: Tensor, context: StepContext) -> _Told:
        rows = len(order)
        noise = context.normal("noise", rows, self.gan.noise_size)
        condition_noise = context.normal("condition", rows, self.gan.condition_size)
        count = self._restored(rows)
        if not (self.gan.paints_twice or count):
            return _Told(text, labels, noise, condition_noise, None)
        # of the batch as it was drawn, so that the choice does not depend on the captions' lengths
        asked = rows - (rows - count) // 2 if self.gan.paints_twice else rows
        restored, others = (order < count).nonzero()[:, 0], ((order >= count) & (order < asked)).nonzero()[:, 0]
        free = condition_noise[count:]
        if self.gan.paints_twice:  # both with one condition: the noise beside it is to bring the variety
            others, free = others.repeat(2), free.chunk(2)[0].repeat(2, 1)
        pictures = torch.cat([restored, others]).to(context.device)
        return _Told(text.rows(pictures), None if labels is None else labels[pictures], noise,
                     torch.cat([torch.zeros_like(condition_noise[:count]), free]), pictures)

    def _wrong(self, captions: Tensor, kinds: Tensor, context: StepContext) -> Wrong | None:
        """Other captions for every real picture; None for the authors' pairs."""
        if self.table is None or not self.gan.wrong_captions:
            return None
        numbers, differs = self.table.wrong_numbers(captions, kinds, context, close_share=self.gan.close_wrong_share,
                                                    count=self.gan.wrong_captions)
        tokens, lengths = self.captions.take(numbers[:, None], context)
        return Wrong(self._read(tokens, lengths, self.captions.steps, context.device), differs.float())

    def _read(self, tokens: Tensor, lengths: Tensor, steps: int, device: torch.device) -> Read:
        """Captions with room for ``steps`` words each: a GPU records what is done with captions of one shape."""
        with torch.no_grad():
            words, sentences = self.scorer.text_encoder(tokens, lengths)
        words = functional.pad(words, (0, steps - words.shape[2]))
        return Read(sentences, words, padding_of(lengths, steps).to(device))

    def _train_discriminators(self, reals: list[Tensor], painted: Painted, text: Read, told: Read,
                              wrong: Wrong | None, penalties: tuple[float, ...], context: WorkContext
                              ) -> dict[str, Tensor]:
        """``penalties``: weights of the penalties on real and on painted pictures."""
        losses: dict[str, Tensor] = {}
        slopes: dict[str, list[Tensor]] = {"penalty": [], "painted_penalty": []}
        for (name, discriminator), real, fake in zip(self.discriminators.items(), reals, painted.images, strict=True):
            with context.autocast():
                loss = discriminator_loss(discriminator, self._seen(real, "real", context),
                                          self._seen(fake.detach(), "fake", context), text, told=told,
                                          wrong=wrong, loss=self.gan.loss, lend=self._lend)
            losses[name] = loss.total
            for found, images, captions, weight in zip(slopes.values(), (real, fake), (text, told), penalties,
                                                       strict=True):
                if weight:
                    found.append(steepness(partial(self._score, discriminator, captions), images))
                    losses[name] = losses[name] + weight * found[-1]
            context.update(self.optimisers[name], losses[name])
        return losses | {name: torch.stack(found).detach().mean() for name, found in slopes.items() if found}

    def _score(self, discriminator: AnyDiscriminator, text: Read, images: Tensor) -> Tensor:
        """All that a discriminator says of pictures, (B,)."""
        features = looked(discriminator, images, self._lend)
        matched, alone = judged(discriminator, features, text), discriminator.judge_alone(features)
        return matched if alone is None else matched + alone

    def _train_generator(self, reals: list[Tensor], painted: Painted, recognised: Condition | None, told: _Told,
                         context: WorkContext) -> dict[str, Tensor]:
        """Against the discriminators as they have just become. The matching model sees the largest pictures only."""
        parts: dict[str, Tensor] = {}
        adversarial = []
        largest = painted.images[-1]
        with context.autocast():
            maps = self._lend(largest)
        for discriminator, fake in zip(self.discriminators.values(), painted.images, strict=True):
            discriminator.requires_grad_(False)
            with context.autocast():
                seen = self._seen(fake, "paint", context)
                adversarial.append(adversarial_loss(
                    discriminator, seen, told.text, loss=self.gan.loss,
                    lend=lambda images: maps if images is largest else self._lend(images)))
        parts["adversarial"] = torch.stack(adversarial).sum()
        parts["kl"] = kl_divergence(painted.condition.mean, painted.condition.log_variance)
        loss = parts["adversarial"] + self.gan.kl_weight * parts["kl"]
        if self.gan.matching_weight:
            parts["matching"] = self._matching(largest, maps, told, context)
            loss = loss + self.gan.matching_weight * parts["matching"]
        count = self._restored(len(told.noise))
        if self.gan.variety_weight:
            parts["variety"] = variety(largest[count:], told.noise[count:], goal=self.gan.variety_goal)
            loss = loss - self.gan.variety_weight * parts["variety"]
        own = [] if told.pictures is None else [real[told.pictures] for real in reals]
        if self.gan.energy_weight:
            parts["energy"] = torch.stack([energy_score(fake[count:], real[count:].chunk(2)[0])
                                           for fake, real in zip(painted.images, own, strict=True)]).sum()
            loss = loss + self.gan.energy_weight * parts["energy"]
        if recognised is not None:
            parts["error"] = torch.stack([functional.mse_loss(fake[:count].float(), real[:count])
                                          for fake, real in zip(painted.images, own, strict=True)]).sum()
            parts["nats"] = nats(recognised)
            loss = loss + (self.gan.reconstruction_weight * parts["error"]
                           + self.gan.recognition_weight * parts["nats"])
        context.update(self.optimisers["generator"], loss)
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(True)
        return {"generator": loss, **parts}

    def _matching(self, images: Tensor, maps: Sequence[Tensor], told: _Told, context: WorkContext) -> Tensor:
        """DAMSM's loss; ``maps``: its image encoder's of the pictures, where it lends them. Where captions are painted
        twice, the second paintings are contrasted by themselves."""
        with context.autocast():
            regions, vectors = self.lender.read(maps) if self.lender and maps else self.scorer.image_encoder(images)
        rows = torch.arange(len(images), device=images.device)
        again = (len(images) - self._restored(len(images))) // 2 if self.gan.paints_twice else 0
        labels = told.labels if self.config.damsm.mask_classes else None
        total = torch.zeros((), device=images.device)
        for part in rows.tensor_split([len(images) - again]) if again else (rows,):
            text = told.text.rows(part)
            loss = matching_losses(text.words, text.sentences, text.padding, regions[part].float(),
                                   vectors[part].float(), sharpness=self.config.damsm.sharpness,
                                   labels=None if labels is None else labels[part]).total
            total = total + loss * (len(part) / len(images))
        return total

    def _lend(self, images: Tensor) -> Sequence[Tensor]:
        """DAMSM's maps of pictures as large as it reads; of smaller ones, which cost as much, none."""
        if self.lender is None or images.shape[-1] < self.lender.image_size:
            return ()
        return self.lender.maps(images)

    def _seen(self, images: Tensor, purpose: str, context: WorkContext) -> Tensor:
        if not self.gan.augment:
            return images
        return augment(images, context.uniform(purpose, len(images), 7), self.gan.augment)

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples:
        """Held-out captions with fixed noise, the same in a column."""
        captions = self._shown
        numbers = np.tile(np.arange(_COLUMNS), len(captions))
        told = [caption for caption in captions for _ in range(_COLUMNS)]
        return Samples(self._painted(modules, told, numbers, "sample", context), captions)

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """``r_precision``: of paintings of at most 256 held-out captions, among 32 candidates, judged by this run's own
        DAMSM. It serves to follow a training, not to compare systems: the generator is trained to please this judge."""
        images = self._painted(modules, self._judged, np.arange(len(self._judged)), "validate", context)
        captions = self.scorer.captions(self._judged)
        result = r_precision(self.scorer.images(images), captions, captions, kinds=self._kinds,
                             pool_kinds=self._kinds, encoder=self.scorer.name, candidates=_CANDIDATES, folds=1)
        return {"r_precision": result.value}

    @torch.no_grad()
    def _painted(self, modules: Mapping[str, nn.Module], captions: list[str], numbers: np.ndarray, purpose: str,
                 context: StepContext) -> np.ndarray:
        """uint8 (N, S, S, 3); ``numbers`` address the noise."""
        generator = self._shown_generator(modules)
        tokens, lengths = (torch.from_numpy(part) for part in self.scorer.vocabulary.table(captions))
        gan = self.gan
        images = []
        for part in torch.arange(len(captions)).split(_CHUNK):
            text = self._read(tokens[part].long().to(context.device), lengths[part], tokens.shape[1], context.device)
            noises = [torch.stack([normal(0, f"{purpose}/{name}", int(numbers[i]), shape=(size,)) for i in part])
                      for name, size in (("noise", gan.noise_size), ("condition", gan.condition_size))]
            painted = generator(*(noise.to(context.device) for noise in noises), *text)
            images.append(as_uint8(painted.images[-1]).permute(0, 2, 3, 1).cpu())
        return torch.cat(images).numpy()

    def _shown_generator(self, modules: Mapping[str, nn.Module]) -> AnyGenerator:
        """The averaged generator, with the latest statistics of batch normalisation where the averaged ones are not
        wanted."""
        generator = modules["generator"]
        assert isinstance(generator, AnyGenerator)
        if not self.gan.average_buffers:
            for ours, latest in zip(generator.buffers(), self.generator.buffers(), strict=True):
                ours.copy_(latest)
        return generator

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        return Components({"generator": weights_of(self._shown_generator(modules))})


def pyramid(images: Tensor, sides: tuple[int, ...]) -> list[Tensor]:
    """Pictures uint8 (B, 3, S, S) at several sides, float in -1..1; antialiased, rounded to whole levels as a picture
    file would be."""
    return [as_float(images if side == images.shape[-1] else _at_side(images, side)) for side in sides]


def _at_side(images: Tensor, side: int) -> Tensor:
    """Whole levels as float: GPUs cannot scale uint8."""
    return functional.interpolate(images.float(), (side, side), mode="bilinear", antialias=True).round_()
