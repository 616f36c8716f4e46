"""The adversarial losses of AttnGAN, as the released code weighs them.

The paper's eqs. 5 and 6 have a factor of one half everywhere and no wrong pairs; the code has the factors below.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from limner.systems.attngan.networks import Discriminator


class DiscriminatorLoss(NamedTuple):
    """Scalars: ``total`` to minimise, and the means of its parts."""

    total: Tensor
    real: Tensor
    fake: Tensor
    wrong: Tensor


def discriminator_loss(discriminator: Discriminator, real: Tensor, fake: Tensor, sentences: Tensor, *,
                       differs: Tensor | None = None) -> DiscriminatorLoss:
    """Real pictures with their captions, painted ones, and real ones with the next row's caption.

    With U the cross-entropy of the unconditional head, C that of the conditional one, B rows:
    ``(U(real) + C(real)) / 2 + (U(fake) + C(fake) + C(wrong)) / 3``; without the unconditional head
    ``C(real) + (C(fake) + C(wrong)) / 2``. Real and painted pictures pass separately, so that batch normalisation sees
    each alone; the wrong pairs reuse the features of the real pictures.

    Args:
        real, fake: (B, 3, S, S); ``fake`` without gradient.
        sentences: (B, D).
        differs: float (B,), weights of the wrong pairs of row k with the caption of row k + 1, around the end. Without
            it there are the B - 1 pairs of the authors' code, which may be of one class by chance.
    """
    of_real, of_fake = discriminator.look(real), discriminator.look(fake)
    right, painted = discriminator.judge(of_real, sentences), discriminator.judge(of_fake, sentences)
    if differs is None:
        wrong = _bce(discriminator.judge(of_real[:-1], sentences[1:]), 0.0)
    else:
        logits = discriminator.judge(of_real, sentences.roll(-1, 0))
        wrong = (functional.softplus(logits.float()) * differs).sum() / differs.sum().clamp(min=1.0)
    real_alone, fake_alone = discriminator.judge_alone(of_real), discriminator.judge_alone(of_fake)
    real_part, fake_part = _bce(right, 1.0), _bce(painted, 0.0)
    if real_alone is None or fake_alone is None:
        return DiscriminatorLoss(real_part + (fake_part + wrong) / 2, real_part, fake_part, wrong)
    real_sum = _bce(real_alone, 1.0) + real_part
    fake_sum = _bce(fake_alone, 0.0) + fake_part
    return DiscriminatorLoss(real_sum / 2 + (fake_sum + wrong) / 3, real_sum / 2, fake_sum / 2, wrong)


def adversarial_loss(discriminator: Discriminator, fake: Tensor, sentences: Tensor) -> Tensor:
    """What the generator pays for one size: U(fake) + C(fake) against the label of real pictures, without halves."""
    features = discriminator.look(fake)
    alone = discriminator.judge_alone(features)
    matched = _bce(discriminator.judge(features, sentences), 1.0)
    return matched if alone is None else _bce(alone, 1.0) + matched


def _bce(logits: Tensor, label: float) -> Tensor:
    """Mean cross-entropy. The authors' code takes probabilities, with the logarithm cut off where they round to 0 or 1;
    on logits it neither overflows nor loses its gradient there."""
    logits = logits.float()
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
