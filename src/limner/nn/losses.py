"""Losses that several systems share."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

BCE_EPSILON = 1e-12

_PENALTY_EVERY = 8
"""Steps: seldom, and with so many times the weight, as StyleGAN2 does (lazy regularisation, Karras et al. 2020)."""

ScoreLoss = Literal["cross-entropy", "hinge"]


def score_cost(scores: Tensor, *, real: bool, loss: ScoreLoss = "cross-entropy") -> Tensor:
    """What a discriminator pays for each of its scores (B,) of real pairs, or of others, in float32 at least.

    ``cross-entropy`` takes scores as logits; ``hinge`` is ``relu(1 - s)`` for real pairs and ``relu(1 + s)`` for
    others: nothing more is asked beyond the margin.
    """
    signed = _exact(scores) if real else -_exact(scores)
    return functional.softplus(-signed) if loss == "cross-entropy" else functional.relu(1 - signed)


def painted_cost(scores: Tensor, *, loss: ScoreLoss = "cross-entropy") -> Tensor:
    """What a generator pays for each score (B,) of its pictures: ``-log sigmoid(s)``, or with ``hinge`` ``-s``."""
    return score_cost(scores, real=True) if loss == "cross-entropy" else -_exact(scores)


def steepness(score: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Half the squared gradient of the scores (B,) of pictures (B, ...) by the pictures, a mean over the rows: of real
    pictures R1, of painted ones R2.

    A generator does better by noise that a steep score likes than by better pictures. It can be differentiated in turn.

    Source: Mescheder et al. 2018, "Which training methods for GANs do actually converge?"; both together Huang et al.
    2024, "The GAN is dead; long live the GAN!".
    """
    images = _exact(images.detach()).requires_grad_()
    slope, = torch.autograd.grad(score(images).sum(), images, create_graph=True)
    return 0.5 * slope.square().flatten(1).sum(1).mean()


def penalty_now(weight: float, step: int) -> float:
    """With what weight a gradient penalty counts in a step: eight times its own at every eighth, else 0."""
    return 0.0 if step % _PENALTY_EVERY else _PENALTY_EVERY * weight


def _exact(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def eps_bce(probabilities: Tensor, *, real: bool) -> Tensor:
    """Binary cross entropy of every probability against one hard label, as Torch7 computes it.

    ``-log(p + 1e-12)`` for the label 1 (``real``), ``-log(1 - p + 1e-12)`` for 0; the shape of ``probabilities``, not
    averaged. It stays finite (27.63) at p = 0 and p = 1. The gradient is Torch7's own formula,
    ``(p - t) / ((1 - p + 1e-12) (p + 1e-12))``, which differs from the derivative only where p or 1 - p is near 1e-12.
    It can be differentiated once.

    Source: nn.BCECriterion of Torch7, the criterion of the official GAN-CLS and GAWWN code.
    """
    return _Torch7BCE.apply(probabilities, real)


def variety(images: Tensor, noise: Tensor, *, goal: float) -> Tensor:
    """Mean distance of two pictures of a caption per distance of their noises, each pair counted up to ``goal``.

    Args:
        images: (2 B, 3, S, S); rows b and B + b show the same caption.
        noise: (2 B, N), from which they were painted.

    Source: diversity-sensitive conditional GAN (Yang et al. 2019), with the distance taken of pixels.
    """
    distance = torch.sub(*images.float().chunk(2)).abs().mean((1, 2, 3))
    return (distance / torch.sub(*noise.chunk(2)).abs().mean(1)).clamp(max=goal).mean()


def energy_score(painted: Tensor, real: Tensor) -> Tensor:
    """How far paintings of a caption are from being distributed as its pictures are; two paintings and a picture each.

    ``(d(p, r) + d(q, r) - d(p, q)) / 2`` of two paintings p, q and a real picture r of a caption, with d the root mean
    square of the difference in a block; the mean over blocks of a pixel, of an eighth of the side, and of the whole.
    The expected value is lowest where the colours of a block are distributed alike in paintings and pictures, so that
    all kinds that a caption leaves open are asked for in their shares, and nothing that it does not. One picture a
    caption is enough, nothing is learnt to tell them apart.

    Args:
        painted: (2 B, 3, S, S), S a multiple of 8; rows b and B + b show the same caption, with noise of their own.
        real: (B, 3, S, S), pictures of the same captions.

    Source: the energy score (Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation").
    """
    first, second = _exact(painted).chunk(2)
    real = _exact(real)
    differences = (first - real, second - real, first - second)
    scores = []
    for side in (1, real.shape[-1] // 8, real.shape[-1]):
        to_first, to_second, between = (_distance(functional.pixel_unshuffle(each, side)) for each in differences)
        scores.append((to_first + to_second - between) / 2)
    return torch.stack(scores).mean()


def _distance(differences: Tensor) -> Tensor:
    """Mean over places of the root mean square over channels; the small number keeps slopes finite at 0."""
    return (differences.square().mean(1) + 1e-4).sqrt().mean()


class _Torch7BCE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, real: bool) -> Tensor:
        ctx.save_for_backward(probabilities)
        ctx.real = real
        return -((probabilities if real else 1 - probabilities) + BCE_EPSILON).log()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyrefly: ignore[bad-override]
        (p,) = ctx.saved_tensors
        return gradients[0] * (p - float(ctx.real)) / ((1 - p + BCE_EPSILON) * (p + BCE_EPSILON)), None
