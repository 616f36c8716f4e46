"""Losses of StackGAN as pure functions of logits."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from limner.nn.losses import ScoreLoss, painted_cost, score_cost


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


def discriminator_loss(real: Logits, wrong: Tensor, fake: Logits, *, loss: ScoreLoss = "cross-entropy"
                       ) -> DiscriminatorLoss:
    """Matching-aware discriminator loss of real, mismatched and painted pairs.

    Without scores of pictures alone, ``real + (wrong + fake) / 2``. With them (PyTorch release, Stage II),
    ``(real + real alone) / 2 + (wrong + fake + fake alone) / 3``; real and fake are then reported as the mean of both
    scores.

    Args:
        real: logits of real pictures with their own captions.
        wrong: logits (any number) of real pictures with other captions.
        fake: logits of painted pictures with the captions they were painted from.
        loss: what a score costs.

    Source: the two official releases, which take the cross entropy.
    """
    of_real = score_cost(real.matched, real=True, loss=loss).mean()
    of_wrong = score_cost(wrong, real=False, loss=loss).mean()
    of_fake = score_cost(fake.matched, real=False, loss=loss).mean()
    if real.alone is None or fake.alone is None:
        return DiscriminatorLoss(of_real + (of_wrong + of_fake) / 2, of_real, of_wrong, of_fake)
    real_alone = score_cost(real.alone, real=True, loss=loss).mean()
    fake_alone = score_cost(fake.alone, real=False, loss=loss).mean()
    both = (of_real + real_alone) / 2
    return DiscriminatorLoss(both + (of_wrong + of_fake + fake_alone) / 3, both, of_wrong, (of_fake + fake_alone) / 2)


def generator_loss(fake: Logits, *, loss: ScoreLoss = "cross-entropy") -> Tensor:
    """Non-saturating generator loss, ``-log D`` (with hinge the negated scores); that of the score of pictures alone
    is added where there is one.

    Source: the two official releases; the published objective is the saturating ``log(1 - D)``.
    """
    matched = painted_cost(fake.matched, loss=loss).mean()
    return matched if fake.alone is None else matched + painted_cost(fake.alone, loss=loss).mean()


def inconsistency(images: Tensor, sketches: Tensor) -> Tensor:
    """Mean distance of refinements (B, 3, S, S), each s x s average of S / s pixels squared, from their sketches
    (B, 3, s, s); both in -1..1.

    Compare the colour consistency of StackGAN++ (Zhang et al. 2018), which holds means and covariances of colours.
    """
    scale = images.shape[-1] // sketches.shape[-1]
    return (functional.avg_pool2d(images.float(), scale) - sketches.float()).abs().mean()
