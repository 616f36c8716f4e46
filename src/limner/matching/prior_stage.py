"""The stage that trains a prior over complete captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.data.batch import Batch, BatchPlan
from limner.data.pictures import Corpus, PictureSet
from limner.matching.config import PriorConfig
from limner.matching.prior import CaptionPrior, build_prior
from limner.nn.initialisation import seeded_initialisation
from limner.nn.whitening import fit_whitening
from limner.randomness import normal
from limner.training.schedule import Schedule, warmed_cosine
from limner.training.stage import Components, StepContext, weights_of

_VALIDATED = 512


class PriorStage:
    """Learns how embeddings of complete captions are distributed given that of any caption of the same picture.

    Of the pictures only their captions are used. A picture's complete caption is the one with most words, the first of
    several.
    """

    averaged = ("prior",)

    def __init__(self, config: PriorConfig, read: Callable[[Sequence[str]], Tensor], corpus: Corpus, seed: int, *,
                 image_size: int) -> None:
        """``read`` turns captions into embeddings (N, D) on the CPU; pictures of ``image_size`` are in the cache."""
        self.config, self.image_size = config, image_size
        train = corpus.split("train")
        self.embeddings, self.complete = read(train.captions).clone(), complete_captions(train)
        held_out = next((corpus.split(name) for name in ("val", "test") if name in corpus.splits()), None)
        self._held_out = None
        if held_out is not None:
            embeddings, numbers = read(held_out.captions).clone(), complete_captions(held_out)
            last = torch.from_numpy(held_out.caption_ranges[:, 1] - 1)  # of each picture: often a short caption
            chosen = torch.linspace(0, len(held_out) - 1, min(_VALIDATED, len(held_out))).long()
            self._held_out = embeddings[last[chosen]], embeddings[numbers[chosen]]
        with seeded_initialisation(seed, "prior"):
            self.prior = build_prior(config, self.embeddings.shape[1])
        fit_whitening(self.prior, self.embeddings[self.complete])
        self.modules: dict[str, nn.Module] = {"prior": self.prior}
        self.optimisers = {"prior": torch.optim.Adam(self.prior.parameters(), config.learning_rate, fused=True)}

    @property
    def schedule(self) -> Schedule:
        return self.config.schedule

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(batch_size=self.config.batch_size, image_size=self.image_size)

    def step(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        for group in self.optimisers["prior"].param_groups:
            group["lr"] = self.config.learning_rate * warmed_cosine(context.step, context.fraction)
        given = self.embeddings[batch.captions[:, 0].cpu()].to(context.device)
        complete = self.embeddings[self.complete[batch.indices.cpu()]].to(context.device)
        rows = len(given)
        noise, time = context.normal("noise", rows, given.shape[1]), context.uniform("time", rows, 1)
        withheld = context.uniform("withheld", rows, 1) < self.config.withheld
        target = self.prior.whitened(complete)
        told = torch.where(withheld, self.prior.nothing, self.prior.whitened(given))
        with context.autocast():
            velocity = self.prior(torch.lerp(noise, target, time), time, told)
        loss = functional.mse_loss(velocity.float(), target - noise)
        context.update(self.optimisers["prior"], loss)
        return {"loss": loss.detach()}

    def sample(self, context: StepContext, modules: Mapping[str, nn.Module]) -> None:
        return None

    @torch.inference_mode()
    def validate(self, context: StepContext, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """``held_out``: the negative loss of held-out captions, with noise and times that stay the same."""
        if self._held_out is None:
            return {}
        given, complete = (part.to(context.device) for part in self._held_out)
        noise = normal(0, "prior/validation", shape=tuple(given.shape)).to(context.device)
        time = torch.linspace(0, 1, len(given), device=context.device)[:, None]
        prior = modules["prior"]
        assert isinstance(prior, CaptionPrior)
        target = prior.whitened(complete)
        velocity = prior(torch.lerp(noise, target, time), time, prior.whitened(given))
        return {"held_out": -functional.mse_loss(velocity, target - noise).item()}

    def components(self, modules: Mapping[str, nn.Module]) -> Components:
        return Components({"prior": weights_of(modules["prior"])})


def complete_captions(pictures: PictureSet) -> Tensor:
    """int64 (pictures,): the number of each picture's caption with most words, the first of several."""
    words = [len(caption.split()) for caption in pictures.captions]
    return torch.tensor([max(range(start, end), key=words.__getitem__)
                         for start, end in pictures.caption_ranges.tolist()])

