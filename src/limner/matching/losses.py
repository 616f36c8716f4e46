"""Structured joint embedding: the batch hinge loss that makes captions and pictures agree (Reed et al., CVPR 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.errors import LimnerError

MARGIN = 1.0


def structured_joint_embedding_loss(anchors: Tensor, candidates: Tensor, labels: Tensor) -> Tensor:
    """The asymmetric loss (DA-SJE of the paper when anchors are images): a scalar.

    1 / (B K) * sum_i sum_{j != y_i} max(0, 1 + s_ij - s_{i, y_i}) with the raw dot products s = anchors @ candidates.T.
    All violating candidates count, not only the worst one, and the sum is divided by B * K, as in the released code.

    ``anchors`` (B, D), ``candidates`` (K, D), ``labels`` (B,) int64: the index of each anchor's own candidate. For the
    loss to mean what it should, no two candidates may be of the same class.
    """
    scores = _scores(anchors, candidates, labels)
    own = labels.unsqueeze(1)
    violations = F.relu(MARGIN + scores - scores.gather(1, own))
    return violations.scatter(1, own, 0.0).sum() / scores.numel()


def symmetric_structured_joint_embedding_loss(images: Tensor, texts: Tensor) -> Tensor:
    """The loss with images as anchors plus the loss with texts as anchors (DS-SJE): a scalar.

    ``images`` and ``texts`` are (B, D); row i of both belongs together, and the rows are of B different classes.
    """
    labels = torch.arange(len(images), device=images.device)
    return structured_joint_embedding_loss(images, texts, labels) + structured_joint_embedding_loss(
        texts, images, labels
    )


def matching_accuracy(anchors: Tensor, candidates: Tensor, labels: Tensor) -> Tensor:
    """The share of anchors whose best candidate is their own: a scalar in 0..1. Arguments as for the loss."""
    scores = _scores(anchors, candidates, labels)
    return (scores.argmax(dim=1) == labels).to(scores.dtype).mean()


def _scores(anchors: Tensor, candidates: Tensor, labels: Tensor) -> Tensor:
    if anchors.ndim != 2 or candidates.ndim != 2 or anchors.shape[1] != candidates.shape[1]:
        raise LimnerError("Anchors (B, D) and candidates (K, D) must be equally wide, got "
                          f"{tuple(anchors.shape)} and {tuple(candidates.shape)}.")
    if labels.shape != anchors.shape[:1]:
        raise LimnerError(f"{len(anchors)} anchors need as many labels, got the shape {tuple(labels.shape)}.")
    return anchors @ candidates.T
