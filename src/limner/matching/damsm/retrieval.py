"""R-precision: does a picture find its own caption among others?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from limner.errors import LimnerError
from limner.randomness import stream

CANDIDATES = 100
FOLDS = 10


@dataclass(frozen=True)
class RPrecision:
    """The share of pictures whose own caption ranks first, and how it was found."""

    value: float
    """0 to 1: the mean over the folds."""
    deviation: float
    """Standard deviation of the folds' values."""
    images: int
    candidates: int
    """Captions that a picture was compared with, its own included."""
    folds: int
    encoder: str
    """Which matching model judged."""
    chance: float
    """1 / candidates."""

    @property
    def protocol(self) -> str:
        """One line that names everything the value depends on."""
        return (f"R-precision (R = 1, {self.candidates} candidates drawn with replacement from captions of other "
                f"classes, {self.images} images in {self.folds} folds, encoder {self.encoder})")


def r_precision(images: Tensor, own: Tensor, pool: Tensor, *, kinds: np.ndarray, pool_kinds: np.ndarray,
                encoder: str, candidates: int = CANDIDATES, folds: int = FOLDS, seed: int = 0) -> RPrecision:
    """How often a picture's vector is nearest, by cosine, to that of its own caption among those of others.

    Args:
        images: (N, D), vectors of pictures, painted or real.
        own: (N, D), vectors of the captions that they were painted from.
        pool: (M, D), vectors of captions from which the others are drawn, with replacement.
        kinds: int (N,), class of every picture (its number where there are no classes). ``pool_kinds``: int (M,). The
            others are drawn among captions of another kind.
        encoder: name of the matching model, for the result. Judge a generator with one that it was not trained with:
            the one of its own loss flatters it.

    A tie with another caption counts as a miss.

    Source: AttnGAN, section 4 (100 candidates, 30,000 images, 10 folds); the authors published no code for it. The
    drawing of candidates is that of DM-GAN's code (Zhu et al. 2019).

    Raises:
        LimnerError: fewer images than folds, or a kind without captions of other kinds.
    """
    if len(images) < folds:
        raise LimnerError(f"R-precision in {folds} folds needs at least {folds} images, got {len(images)}.")
    if candidates < 2:
        raise LimnerError(f"candidates must be at least 2, got {candidates}.")
    images, own, pool = (functional.normalize(vectors.float(), dim=1, eps=1e-8) for vectors in (images, own, pool))
    scores = (images * own).sum(1)
    right = np.zeros(len(images), bool)
    others_of = {kind: np.flatnonzero(pool_kinds != kind) for kind in np.unique(kinds)}
    for row, kind in enumerate(kinds):
        others = others_of[kind]
        if len(others) == 0:
            raise LimnerError("R-precision needs captions of at least two classes (or pictures).")
        drawn = stream(seed, "r-precision", row).choice(others, candidates - 1)
        rivals = pool[torch.from_numpy(drawn)] @ images[row]
        right[row] = bool((scores[row] > rivals).all())
    values = np.array([fold.mean() for fold in np.array_split(right, folds)])
    return RPrecision(value=float(values.mean()), deviation=float(values.std()), images=len(images),
                      candidates=candidates, folds=folds, encoder=encoder, chance=1 / candidates)
