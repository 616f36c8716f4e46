"""The two stages: drawing, and sharpening what was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.data.batch import Batch, BatchPlan
from limner.data.pictures import Corpus
from limner.nn.initialisation import seeded_initialisation
from limner.nn.layout import channels_last
from limner.randomness import normal
from limner.systems.aligndraw.build import (
    fresh_networks,
    fresh_sharpener,
    tokeniser_of,
    tokens_of,
    trained_generator,
    trained_recognition,
)
from limner.systems.aligndraw.config import AlignDrawConfig, DrawingConfig, SharpeningConfig
from limner.systems.aligndraw.drawing import bound, generate, reconstruct
from limner.systems.aligndraw.networks import Generator, Recognition, Words
from limner.systems.aligndraw.optimiser import ClippedRMSprop
from limner.systems.aligndraw.pictures import as_pictures, as_targets
from limner.systems.aligndraw.sharpening import SharpnessJudge, sentence_of
from limner.systems.captions import held_out_pictures, shown_captions
from limner.text.words import WordTokeniser
from limner.training.graphs import record_passes
from limner.training.schedule import Schedule, falling
from limner.training.stage import Components, Samples, StepContext, weights_of

_COLUMNS = 8
_JUDGED = 200
_CHUNK = 100
_WARM_UP = 100
"""Steps over which Adam's learning rate rises."""
_LARGEST_NORM = 10.0
"""Of all gradients together, where Adam is the optimiser."""


class _Captions:
    """Tokens of the training captions, and held-out captions and pictures to show and to measure."""

    def __init__(self, config: AlignDrawConfig, corpus: Corpus, tokeniser: WordTokeniser | None) -> None:
        self.tokeniser, self.drawing = tokeniser, config.drawing
        self.pictures = corpus.split("train")
        self.held_out = held_out_pictures(corpus)
        if tokeniser is not None:
            self.tokens, self.lengths = tokens_of(tokeniser, self.pictures.captions)
        chosen = np.linspace(0, len(self.held_out) - 1, min(_JUDGED, len(self.held_out))).astype(int)
        self.judged = chosen
        self._captions = [self.held_out.captions_of(int(index))[0] for index in chosen]

    def of(self, generator: Generator, captions: Tensor) -> Words | None:
        """The words of training captions with these numbers, int64 (B, 1)."""
        told = self.told(captions)
        return generator.read_captions(*told) if told else None

    def told(self, captions: Tensor) -> tuple[Tensor, ...]:
        """Their tokens int64 (B, S) and lengths int64 (B,); nothing without captions. S is the longest of theirs on a
        CPU, and always the same on a GPU, whose passes are recorded."""
        if self.tokeniser is None:
            return ()
        chosen = captions[:, 0].cpu()
        lengths = self.lengths[chosen]
        longest = int(lengths.max()) if captions.device.type == "cpu" else self.tokens.shape[1]
        return self.tokens[chosen][:, :longest].to(captions.device), lengths.to(captions.device)

    def held_out_words(self, generator: Generator, rows: Sequence[int] | np.ndarray) -> Words | None:
        """The words of held-out captions, by their place among those judged."""
        if self.tokeniser is None:
            return None
        return self._read(generator, *tokens_of(self.tokeniser, [self._captions[row] for row in rows]))

    def _read(self, generator: Generator, tokens: Tensor, lengths: Tensor) -> Words:
        device = next(generator.parameters()).device
        return generator.read_captions(tokens.to(device), lengths.to(device))

    def painted(self, generator: Generator, device: torch.device) -> tuple[Tensor, Words | None, list[str]]:
        """Drawings in 0..1 of held-out captions, their words, and the captions: the same noise in a column."""
        captions = shown_captions(self.held_out, self.judged)
        words = None
        if self.tokeniser is None:
            captions = ["drawn without captions"] * len(captions)
            noise = normal(0, "sample", shape=(self.drawing.steps, len(captions) * _COLUMNS, self.drawing.latent))
        else:
            told = [caption for caption in captions for _ in range(_COLUMNS)]
            words = self._read(generator, *tokens_of(self.tokeniser, told))
            noise = normal(0, "sample", shape=(self.drawing.steps, _COLUMNS, self.drawing.latent))
            noise = noise.repeat(1, len(captions), 1)
        canvas = generate(generator, words, noise.to(device))[-1].canvas
        return canvas.sigmoid(), words, captions

    def pixels(self, device: torch.device) -> Tensor:
        """The judged held-out pictures as targets."""
        images = torch.from_numpy(self.held_out.pixels(self.drawing.image_size)[self.judged]).permute(0, 3, 1, 2)
        return as_targets(images.to(device), self.drawing.channels)


class _Costs(nn.Module):
    """Both costs of the bound, means over a batch: what a step differentiates."""

    def __init__(self, generator: Generator, recognition: Recognition) -> None:
        super().__init__()
        self.generator, self.recognition = generator, recognition

    def forward(self, pictures: Tensor, noise: Tensor, *told: Tensor) -> tuple[Tensor, Tensor]:
        words = self.generator.read_captions(*told) if told else None
        strokes = reconstruct(self.generator, self.recognition, pictures, words, noise)
        with torch.autocast(pictures.device.type, enabled=False):
            costs = bound(pictures, strokes)
            return costs.pixels.mean(), costs.kl.sum(0).mean()


class DrawingStage:
    """Maximises the one-sample lower bound of pictures given their captions (DRAW: of pictures)."""

    averaged = ("generator", "recognition")

    def __init__(self, config: AlignDrawConfig, corpus: Corpus, seed: int) -> None:
        self.drawing = config.drawing
        captions = config.captions
        self.tokeniser = None if captions is None else WordTokeniser.from_captions(
            corpus.split("train").captions, length=captions.length, min_count=captions.min_count)
        self.captions = _Captions(config, corpus, self.tokeniser)
        self.generator, self.recognition = fresh_networks(config, self.tokeniser, seed)
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "recognition": self.recognition}
        self._costs: _Costs | None = None
        parameters = [parameter for module in self.modules.values() for parameter in module.parameters()]
        self.optimiser = _optimiser(self.drawing, parameters)
        self.optimisers: dict[str, torch.optim.Optimizer] = {"drawing": self.optimiser}

    @property
    def schedule(self) -> Schedule:
        return self.drawing.schedule

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(batch_size=self.drawing.batch_size, image_size=self.drawing.image_size,
                         flip=self.drawing.flip)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(self.drawing, context)
        pictures = as_targets(batch.images, self.drawing.channels)
        noise = context.normal("latents", len(pictures), self.drawing.steps, self.drawing.latent).transpose(0, 1)
        inputs = pictures, noise, *self.captions.told(batch.captions)
        if self._costs is None:
            self._costs = _Costs(self.generator, self.recognition)
            record_passes(self._costs, inputs, context.autocast)
        with context.autocast():
            pixels, kl = self._costs(*inputs)
        context.update(self.optimiser, pixels + _divergence_weight(self.drawing, context) * kl)
        return {"negative_bound": (pixels + kl).detach(), "pixels": pixels.detach(), "kl": kl.detach()}

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples:
        generator = modules["generator"]
        assert isinstance(generator, Generator)
        drawn, _, captions = self.captions.painted(generator, context.device)
        return Samples(as_pictures(drawn).numpy(), captions)

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """Of up to 200 held-out pictures, in nats a picture: the lower bound, its two costs, and ``caption_gap``, by
        how much the bound falls if every picture gets the caption of the one before it."""
        generator, recognition = modules["generator"], modules["recognition"]
        assert isinstance(generator, Generator)
        assert isinstance(recognition, Recognition)
        pictures = self.captions.pixels(context.device)
        count = len(pictures)
        noise = context.normal("validate", count, self.drawing.steps, self.drawing.latent).transpose(0, 1)
        totals = torch.zeros(3, dtype=torch.float64)
        for first in range(0, count, _CHUNK):
            rows = np.arange(first, min(first + _CHUNK, count))
            share, chance = pictures[rows], noise[:, rows]
            costs = bound(share, reconstruct(generator, recognition, share,
                                             self.captions.held_out_words(generator, rows), chance))
            totals[:2] += torch.stack([costs.pixels.sum(), costs.kl.sum()]).cpu()
            others = self.captions.held_out_words(generator, (rows - 1) % count)
            if others is not None:
                wrong = bound(share, reconstruct(generator, recognition, share, others, chance))
                totals[2] += (wrong.cost - costs.cost).sum().cpu()
        pixels, kl, gap = (totals / count).tolist()
        figures = {"bound": -pixels - kl, "pixels": pixels, "kl": kl}
        return figures if self.tokeniser is None else {**figures, "caption_gap": gap}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        assets = {} if self.tokeniser is None else {"tokeniser": self.tokeniser.to_json()}
        return Components({name: weights_of(module) for name, module in modules.items()}, assets)


def _optimiser(drawing: DrawingConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if drawing.optimiser == "rmsprop":
        return ClippedRMSprop(parameters, drawing.learning_rate)
    adam = torch.optim.Adam(parameters, drawing.learning_rate, betas=(0.9, 0.99), foreach=True)

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(parameters, _LARGEST_NORM)

    adam.register_step_pre_hook(clip)
    return adam


def _rate(drawing: DrawingConfig, context: StepContext) -> float:
    if drawing.optimiser == "rmsprop":
        return drawing.learning_rate * (0.1 if context.fraction >= drawing.drop_from else 1.0)
    return (drawing.learning_rate * min(1.0, (context.step + 1) / _WARM_UP)
            * falling(context.fraction, drawing.drop_from))


def _divergence_weight(drawing: DrawingConfig, context: StepContext) -> float:
    left = max(0.0, 1 - context.fraction / drawing.divergence_until)
    return drawing.divergence_end + (drawing.divergence_weight - drawing.divergence_end) * left


class SharpeningStage:
    """Adversarial training of the sharpener on drawings of true pictures (the reconstructions of the drawing stage).

    The authors trained theirs elsewhere and published its weights only; losses and discriminator are ours.
    """

    averaged = ("sharpener",)

    def __init__(self, config: AlignDrawConfig, sharpening: SharpeningConfig, corpus: Corpus, components: Components,
                 seed: int) -> None:
        self.sharpening, self.drawing = sharpening, config.drawing
        tokeniser = tokeniser_of(components)
        self.captions = _Captions(config, corpus, tokeniser)
        self.generator = trained_generator(config, tokeniser, components)
        self.recognition = trained_recognition(config, components)
        with seeded_initialisation(seed, "aligndraw/sharpening"):
            self.sharpener = fresh_sharpener(config)
            self.judge = SharpnessJudge(side=self.drawing.image_size, sentence=self.sharpener.sent2img.in_features,
                                        width=sharpening.width)
        self.modules: dict[str, nn.Module] = {"sharpener": channels_last(self.sharpener),
                                              "judge": channels_last(self.judge)}
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(module.parameters(), sharpening.learning_rate, betas=(0.5, 0.999))
            for name, module in self.modules.items()}

    @property
    def schedule(self) -> Schedule:
        return self.sharpening.schedule

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(batch_size=self.sharpening.batch_size, image_size=self.drawing.image_size,
                         flip=self.drawing.flip)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        pictures = as_targets(batch.images, 3)
        blurry, sentence = self._drawn(pictures, batch, context)
        noise = context.normal("edges", len(pictures), 1, self.drawing.image_size, self.drawing.image_size)
        with context.autocast():
            sharp = blurry + self.sharpener(blurry, sentence, noise)
            real = self.judge(pictures, blurry, sentence).float()
            fake = self.judge(sharp.detach(), blurry, sentence).float()
        judged = functional.softplus(-real).mean() + functional.softplus(fake).mean()
        context.update(self.optimisers["judge"], judged)
        self.judge.requires_grad_(False)
        with context.autocast():
            fooled = functional.softplus(-self.judge(sharp, blurry, sentence).float()).mean()
        distance = functional.l1_loss(sharp.float(), pictures)
        context.update(self.optimisers["sharpener"], fooled + self.sharpening.fidelity * distance)
        self.judge.requires_grad_(True)
        return {"judge": judged.detach(), "fooled": fooled.detach(), "distance": distance.detach()}

    @torch.no_grad()
    def _drawn(self, pictures: Tensor, batch: Batch, context: StepContext) -> tuple[Tensor, Tensor]:
        """Drawings of the pictures in 0..1, and the sentences of their captions."""
        noise = context.normal("latents", len(pictures), self.drawing.steps, self.drawing.latent).transpose(0, 1)
        with context.autocast():
            words = self.captions.of(self.generator, batch.captions)
            strokes = reconstruct(self.generator, self.recognition, pictures, words, noise)
        assert words is not None
        return strokes[-1].canvas.sigmoid(), sentence_of(words)

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> Samples:
        drawn, words, captions = self.captions.painted(self.generator, context.device)
        assert words is not None
        sharpener = modules["sharpener"]
        return Samples(as_pictures(sharpener.sharpen(drawn, sentence_of(words))).numpy(),  # type: ignore[operator]
                       captions)

    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        return {}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        return Components({"sharpener": weights_of(modules["sharpener"])})
