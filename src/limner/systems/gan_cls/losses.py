"""Losses of GAN, GAN-CLS, GAN-INT and GAN-INT-CLS, and the mixing of caption embeddings, as pure functions.

All losses take logits and apply the sigmoid themselves, in float32 at least: the official criterion adds 1e-12 to
probabilities, and half precision has lost the probabilities near 1 long before that. Away from saturation
(|logit| < 10) they equal the usual softplus form.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from limner.errors import LimnerError
from limner.nn.losses import eps_bce


class DiscriminatorLoss(NamedTuple):
    """Scalars: ``total`` is what is minimised; the others are the unweighted terms (``wrong`` is None without CLS)."""

    total: Tensor
    real: Tensor
    wrong: Tensor | None
    fake: Tensor


def probabilities(logits: Tensor) -> Tensor:
    """Sigmoid of logits of any shape, in float32 or, where they come so, float64."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()


def discriminator_loss(
    real: Tensor, fake: Tensor, *, wrong: Tensor | None = None, cls_weight: float = 0.0
) -> DiscriminatorLoss:
    """Matching-aware discriminator loss, ``BCE(real, 1) + w BCE(wrong, 0) + (1 - w) BCE(fake, 0)``.

    Args:
        real: logits (B,) of real images with their own text.
        fake: logits (B,) of generated images with the text they were made from.
        wrong: logits (B,) of real images of another class with the anchor's text; None if and only if w = 0.
        cls_weight: w in [0, 1]; 0.5 for GAN-CLS and GAN-INT-CLS, 0 for GAN and GAN-INT.

    Raises:
        LimnerError: w outside [0, 1], or ``wrong`` given without w > 0 or missing with it.

    Source: Reed et al. 2016, algorithm 1 (with w = 0.5), with the sign read as a loss to be minimised.
    """
    if not 0 <= cls_weight <= 1:
        raise LimnerError(f"cls_weight is {cls_weight}; it shares one unit between wrong and fake images: give 0 to 1.")
    if (wrong is None) != (cls_weight == 0):
        state = "no logits of wrong images" if wrong is None else "logits of wrong images"
        raise LimnerError(f"cls_weight {cls_weight} came with {state}; give them exactly when cls_weight is above 0.")
    loss_real = eps_bce(probabilities(real), real=True).mean()
    loss_fake = eps_bce(probabilities(fake), real=False).mean()
    if wrong is None:
        return DiscriminatorLoss(loss_real + loss_fake, loss_real, None, loss_fake)
    loss_wrong = eps_bce(probabilities(wrong), real=False).mean()
    total = loss_real + cls_weight * loss_wrong + (1 - cls_weight) * loss_fake
    return DiscriminatorLoss(total, loss_real, loss_wrong, loss_fake)


def generator_loss(fake: Tensor, *, rows: int, interp_weight: float = 0.0) -> Tensor:
    """Non-saturating generator loss over plain rows and interpolated rows.

    Args:
        fake: logits (N,); the first ``rows`` belong to captions of the batch, the others to interpolated embeddings.
        rows: number of plain rows; equal to N without interpolation.
        interp_weight: weight of an interpolated row against 1 for a plain one.

    The weighted sum is divided by N and not by the sum of the weights, as in the official code: with N = 1.5 ``rows``
    and weight 0 the plain term counts 2/3.

    Raises:
        LimnerError: fewer logits than ``rows``.

    Source: Reed et al. 2016, eq. 5, in the form of the official code (-log D, not log(1 - D)).
    """
    if not 0 < rows <= len(fake):
        raise LimnerError(f"{len(fake)} logits hold {rows} plain rows; give at least one and at most all of them.")
    losses = eps_bce(probabilities(fake), real=True)
    return (losses[:rows].sum() + interp_weight * losses[rows:].sum()) / len(fake)


def interpolate_text(text: Tensor, *, alpha: Tensor | None = None) -> Tensor:
    """Append interpolated embeddings to a batch: row i with row i + B/2.

    Args:
        text: embeddings (B, T), B even.
        alpha: None for the middle of each pair (the official ``interp_type`` 1); else (B/2,) or (B/2, 1) factors in
            [-1, 1] (``interp_type`` 2) for ``(t + t') / 2 + alpha (t' - t)``, which goes beyond either end by half.

    Returns:
        (1.5 B, T): the batch, then the B/2 interpolations.

    Raises:
        LimnerError: B odd, or a number of factors other than B/2.

    Source: Reed et al. 2016, section 4.3; the pairs are those of the official code.
    """
    if len(text) % 2:
        raise LimnerError(f"Interpolation pairs the two halves of a batch, and {len(text)} is odd: use an even batch.")
    first, second = text.chunk(2)
    between = (first + second) / 2
    if alpha is not None:
        if alpha.numel() != len(first):
            raise LimnerError(f"{alpha.numel()} interpolation factors for {len(first)} pairs; give one a pair.")
        between = between + alpha.reshape(-1, 1) * (second - first)
    return torch.cat([text, between])


def mean_captions(text: Tensor, captions: int) -> Tensor:
    """Average every ``captions`` neighbouring rows: (B * captions, T) to (B, T); official ``replicate`` = 0.

    Raises:
        LimnerError: the number of rows is not a multiple of ``captions``.
    """
    if captions < 1 or len(text) % captions:
        raise LimnerError(f"{len(text)} embeddings do not fall into groups of {captions} captions.")
    return text.reshape(-1, captions, *text.shape[1:]).mean(1)


def share_captions(text: Tensor, captions: int) -> Tensor:
    """Give every row the mean of its group of ``captions`` neighbouring rows: (B, T) to (B, T); ``replicate`` = 1.

    The rows of a group are the same image in different crops, each with one caption of its own.

    Raises:
        LimnerError: the number of rows is not a multiple of ``captions``.
    """
    return mean_captions(text, captions).repeat_interleave(captions, 0)
