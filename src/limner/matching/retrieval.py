"""Zero-shot retrieval and classification: do captions of classes never trained on find their pictures?

Protocol of Reed et al. (CVPR 2016): each test class is one text vector, the mean over every caption of every picture
of that class; scores are raw dot products with the picture vectors. What the paper calls AP@50 is the precision among
the first 50 pictures, not an average precision, and carries its right name here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limner.errors import LimnerError


@dataclass(frozen=True)
class ZeroShotScores:
    """Figures of one zero-shot test, all in 0..1, with the sizes that belong to them."""

    precision_at_k: float
    """Mean over classes of the share of right pictures among the first ``k`` ("AP@50" of the paper for k = 50)."""
    precision_ceiling: float
    """What a perfect ranking would reach; below 1 if a class has fewer than ``k`` pictures."""
    precision_per_class: tuple[float, ...]
    k: int
    top1_micro: float
    """Share of pictures whose best class is their own (the released code's accuracy)."""
    top1_macro: float
    """Mean over classes of that share within the class."""
    images: int
    classes: int


def class_text_vectors(caption_vectors: Tensor, caption_classes: Tensor, classes: int) -> Tensor:
    """The mean caption vector of each class: (M, D) vectors and (M,) int64 classes 0..classes-1 -> (classes, D)."""
    _require_classes(caption_vectors, caption_classes, classes, "caption")
    sums = caption_vectors.new_zeros(classes, caption_vectors.shape[1]).index_add(0, caption_classes, caption_vectors)
    return sums / torch.bincount(caption_classes, minlength=classes).unsqueeze(1)


def precision_at_k(image_vectors: Tensor, image_classes: Tensor, class_vectors: Tensor, *, k: int = 50) -> Tensor:
    """For each class, the share of its own pictures among the ``k`` best-scored of all pictures: (C,) float64.

    ``image_vectors`` (N, D), ``image_classes`` (N,) int64 rows of ``class_vectors`` (C, D). Equal scores rank by index.
    """
    if not 1 <= k <= len(image_vectors):
        raise LimnerError(f"The first {k} of {len(image_vectors)} pictures cannot be ranked; "
                          f"choose k between 1 and {len(image_vectors)}.")
    scores = _scores(image_vectors, image_classes, class_vectors)
    first = scores.T.argsort(dim=1, descending=True, stable=True)[:, :k]
    own = torch.arange(len(class_vectors), device=first.device).unsqueeze(1)
    return (image_classes[first] == own).double().mean(dim=1)


def top1_per_class(image_vectors: Tensor, image_classes: Tensor, class_vectors: Tensor) -> Tensor:
    """For each class, the share of its pictures whose best-scored class is theirs: (C,) float64."""
    right = _scores(image_vectors, image_classes, class_vectors).argmax(dim=1) == image_classes
    counts = torch.bincount(image_classes, minlength=len(class_vectors))
    return torch.bincount(image_classes, weights=right.double(), minlength=len(class_vectors)) / counts


def zero_shot_scores(
    image_vectors: Tensor, image_classes: Tensor, class_vectors: Tensor, *, k: int = 50
) -> ZeroShotScores:
    """All figures of a zero-shot test. Arguments as for ``precision_at_k``; every class must have a picture.

    Dot products are taken in float64, so the figures do not depend on how the vectors were batched.
    """
    precision = precision_at_k(image_vectors, image_classes, class_vectors, k=k)
    top1 = top1_per_class(image_vectors, image_classes, class_vectors)
    counts = torch.bincount(image_classes, minlength=len(class_vectors)).double()
    return ZeroShotScores(
        precision_at_k=precision.mean().item(),
        precision_ceiling=(counts.clamp(max=k) / k).mean().item(),
        precision_per_class=tuple(precision.tolist()),
        k=k,
        top1_micro=((top1 * counts).sum() / counts.sum()).item(),
        top1_macro=top1.mean().item(),
        images=len(image_vectors),
        classes=len(class_vectors),
    )


def _scores(image_vectors: Tensor, image_classes: Tensor, class_vectors: Tensor) -> Tensor:
    _require_classes(image_vectors, image_classes, len(class_vectors), "picture")
    if image_vectors.shape[1] != class_vectors.shape[1]:
        raise LimnerError("Picture vectors and class vectors must be equally wide, got "
                          f"{image_vectors.shape[1]} and {class_vectors.shape[1]}.")
    return image_vectors.double() @ class_vectors.double().T


def _require_classes(vectors: Tensor, classes: Tensor, count: int, what: str) -> None:
    """Refuses labels that do not fit the vectors, and classes with nothing in them."""
    if vectors.ndim != 2 or classes.shape != vectors.shape[:1]:
        raise LimnerError(f"Each {what} vector needs one class: got the shapes {tuple(vectors.shape)} and "
                          f"{tuple(classes.shape)}.")
    outside = classes[(classes < 0) | (classes >= count)]
    if len(outside):
        raise LimnerError(f"The class of a {what} must be between 0 and {count - 1}, got {int(outside[0])}.")
    empty = (torch.bincount(classes, minlength=count) == 0).nonzero().flatten().tolist()
    if empty:
        raise LimnerError(f"Class {empty[0]} has no {what} ({len(empty)} such classes); "
                          "leave out classes without pictures and captions and number the rest from 0.")
