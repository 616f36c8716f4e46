"""Losses of StackGAN as pure functions of logits."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Loss = Literal["cross-entropy", "hinge"]


class DiscriminatorLoss(NamedTuple):
    """Scalars: ``total`` is what is minimised; the others are what the authors log."""

    total: Tensor
    real: Tensor
    wrong: Tensor
    fake: Tensor


class Logits(NamedTuple):
    """A discriminator's answers (B,) about one kind of pairs; ``alone`` judges the pictures without captions."""

    matched: Tensor
    alone: Tensor | None = None


def cross_entropy(logits: Tensor, *, real: bool) -> Tensor:
    """Binary cross entropy of logits (B,) against one hard label, the mean over the batch, in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return functional.softplus(-logits if real else logits).mean()


def hinge(scores: Tensor, *, real: bool) -> Tensor:
    """``relu(1 - s)`` of scores (B,) of real pairs, ``relu(1 + s)`` of others, the mean over the batch, in float32 at
    least: nothing more is asked of a pair beyond the margin."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return functional.relu(1 - scores if real else 1 + scores).mean()


def discriminator_loss(real: Logits, wrong: Tensor, fake: Logits, *, loss: Loss = "cross-entropy"
                       ) -> DiscriminatorLoss:
    """Matching-aware discriminator loss of real, mismatched and painted pairs.

    Without scores of pictures alone, ``real + (wrong + fake) / 2``. With them (PyTorch release, Stage II),
    ``(real + real alone) / 2 + (wrong + fake + fake alone) / 3``; real and fake are then reported as the mean of both
    scores.

    Args:
        real: logits of real pictures with their own captions.
        wrong: logits (any number) of real pictures with other captions.
        fake: logits of painted pictures with the captions they were painted from.
        loss: what a logit costs.

    Source: the two official releases, which take the cross entropy.
    """
    cost = cross_entropy if loss == "cross-entropy" else hinge
    of_real, of_wrong = cost(real.matched, real=True), cost(wrong, real=False)
    of_fake = cost(fake.matched, real=False)
    if real.alone is None or fake.alone is None:
        return DiscriminatorLoss(of_real + (of_wrong + of_fake) / 2, of_real, of_wrong, of_fake)
    real_alone, fake_alone = cost(real.alone, real=True), cost(fake.alone, real=False)
    both = (of_real + real_alone) / 2
    return DiscriminatorLoss(both + (of_wrong + of_fake + fake_alone) / 3, both, of_wrong, (of_fake + fake_alone) / 2)


def generator_loss(fake: Logits, *, loss: Loss = "cross-entropy") -> Tensor:
    """Non-saturating generator loss, ``-log D`` (with hinge the negated scores); that of the score of pictures alone
    is added where there is one.

    Source: the two official releases; the published objective is the saturating ``log(1 - D)``.
    """
    scores = [score for score in fake if score is not None]
    if loss == "hinge":
        return -torch.stack([score.float().mean() for score in scores]).sum()
    return torch.stack([cross_entropy(score, real=True) for score in scores]).sum()
