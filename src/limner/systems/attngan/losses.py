"""The adversarial losses of AttnGAN, as the released code weighs them.

The paper's eqs. 5 and 6 have a factor of one half everywhere and no wrong pairs; the code has the factors below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from limner.nn.losses import ScoreLoss, painted_cost, score_cost
from limner.nn.matching_discriminator import MatchingDiscriminator, WordMatchingDiscriminator
from limner.systems.attngan.build import AnyDiscriminator


class Read(NamedTuple):
    """Captions as the text encoder reads them."""

    sentences: Tensor
    """(B, D)."""
    words: Tensor
    """(B, D, T), zero where there is no word."""
    padding: Tensor
    """bool (B, T), true there."""

    def rows(self, chosen: Tensor | slice) -> Read:
        """Some of them."""
        return Read(*(part[chosen] for part in self))

    def beside(self, other: Read) -> Read:
        """These, and then others with room for as many words."""
        return Read(*map(torch.cat, zip(self, other, strict=True)))


class Wrong(NamedTuple):
    """Captions that are not those of the real pictures of a batch."""

    text: Read
    """W of them, for the real pictures in turn, again and again."""
    weights: Tensor
    """float (W,): 0 for a pair that may be right after all."""


class DiscriminatorLoss(NamedTuple):
    """Scalars: ``total`` to minimise, and the means of its parts."""

    total: Tensor
    real: Tensor
    fake: Tensor
    wrong: Tensor


Lend = Callable[[Tensor], Sequence[Tensor]]
"""Pictures (B, 3, S, S) to another network's maps of them, see ``MatchingDiscriminator``."""


def _nothing(images: Tensor) -> Sequence[Tensor]:
    return ()


def looked(discriminator: AnyDiscriminator, images: Tensor, lend: Lend) -> Tensor:
    """What a discriminator sees in pictures (B, 3, S, S): features (B, F, 4, 4)."""
    if isinstance(discriminator, MatchingDiscriminator):
        return discriminator.look(images, lend(images))
    return discriminator.look(images)


def judged(discriminator: AnyDiscriminator, features: Tensor, text: Read) -> Tensor:
    """A discriminator's score (M,) of what it has seen with M captions, for the pictures in turn, again and again."""
    score = discriminator.judge(features, text.sentences)
    if isinstance(discriminator, WordMatchingDiscriminator):
        score = score + discriminator.judge_words(features, text.words, text.padding)
    return score


def discriminator_loss(discriminator: AnyDiscriminator, real: Tensor, fake: Tensor, text: Read, *,
                       told: Read | None = None, wrong: Wrong | None = None, loss: ScoreLoss = "cross-entropy",
                       lend: Lend = _nothing) -> DiscriminatorLoss:
    """Real pictures with their captions, painted ones, and real ones with another caption.

    With U the cost of the unconditional head (the authors' is cross-entropy), C that of the conditional one, B rows:
    ``(U(real) + C(real)) / 2 + (U(fake) + C(fake) + C(wrong)) / 3``; without the unconditional head
    ``C(real) + (C(fake) + C(wrong)) / 2``. The wrong pairs reuse the features of the real pictures. Where there is
    batch normalisation it sees real, painted and wrong pairs each alone; otherwise all pass in one go.

    Args:
        real, fake: (B, 3, S, S); ``fake`` without gradient.
        text: captions of the real pictures.
        told: captions of the painted pictures; without it, ``text``.
        wrong: other captions for the real pictures; without it, each but the last has the next row's, as in the
            authors' code, which may be of one class by chance.
        loss: what a score costs.
        lend: for a discriminator that is lent maps.
    """
    told = text if told is None else told
    other = text.rows(slice(1, None)) if wrong is None else wrong.text
    rows = len(real)
    if discriminator.by_batch:
        of_real, of_fake = discriminator.look(real), discriminator.look(fake)
        # in the authors' order, which their running statistics show
        right, painted = judged(discriminator, of_real, text), judged(discriminator, of_fake, told)
        mismatched = judged(discriminator, of_real[:len(other.sentences)], other)
        alone = discriminator.judge_alone(of_real), discriminator.judge_alone(of_fake)
    else:
        seen = looked(discriminator, torch.cat([real, fake]), lend)
        of_real, of_fake = seen.split([rows, len(fake)])
        if wrong is None:
            right, mismatched = judged(discriminator, of_real, text), judged(discriminator, of_real[:-1], other)
        else:
            right, mismatched = judged(discriminator, of_real, text.beside(other)).tensor_split([rows])
        painted, both = judged(discriminator, of_fake, told), discriminator.judge_alone(seen)
        alone = (None, None) if both is None else both.split([rows, len(fake)])
    real_part = score_cost(right, real=True, loss=loss).mean()
    fake_part = score_cost(painted, real=False, loss=loss).mean()
    costs = score_cost(mismatched, real=False, loss=loss)
    wrong_part = costs.mean() if wrong is None else (costs * wrong.weights).sum() / wrong.weights.sum().clamp(min=1.0)
    real_alone, fake_alone = alone
    if real_alone is None or fake_alone is None:
        return DiscriminatorLoss(real_part + (fake_part + wrong_part) / 2, real_part, fake_part, wrong_part)
    real_sum = score_cost(real_alone, real=True, loss=loss).mean() + real_part
    fake_sum = score_cost(fake_alone, real=False, loss=loss).mean() + fake_part
    return DiscriminatorLoss(real_sum / 2 + (fake_sum + wrong_part) / 3, real_sum / 2, fake_sum / 2, wrong_part)


def adversarial_loss(discriminator: AnyDiscriminator, fake: Tensor, text: Read, *,
                     loss: ScoreLoss = "cross-entropy", lend: Lend = _nothing) -> Tensor:
    """What the generator pays for one size, U(fake) + C(fake) against the label of real pictures, without halves.

    The authors' code takes probabilities, with the logarithm cut off where they round to 0 or 1; on logits it neither
    overflows nor loses its gradient there.
    """
    features = looked(discriminator, fake, lend)
    alone = discriminator.judge_alone(features)
    matched = painted_cost(judged(discriminator, features, text), loss=loss).mean()
    return matched if alone is None else painted_cost(alone, loss=loss).mean() + matched
