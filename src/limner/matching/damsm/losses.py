"""How well captions and pictures match, word by region and as wholes (AttnGAN, Xu et al. 2018, section 3.2).

B pictures and as many captions; D the length of all vectors; T words of the longest caption; R regions of a picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from limner.matching.damsm.config import Sharpness

_SMALLEST_NORM = 1e-8


class MatchingLosses(NamedTuple):
    """Four cross-entropies; each is a scalar."""

    words_of_image: Tensor
    """Which caption belongs to the picture, by words."""
    image_of_words: Tensor
    """Which picture belongs to the caption, by words."""
    sentence_of_image: Tensor
    image_of_sentence: Tensor

    @property
    def total(self) -> Tensor:
        """The loss of DAMSM: the plain sum."""
        return self.words_of_image + self.image_of_words + self.sentence_of_image + self.image_of_sentence


def region_shares(words: Tensor, padding: Tensor, regions: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    """For every word of every caption the regions of every picture that it means (eqs. 7 and 8).

    The products of words and regions become, for every region, shares of the words (softmax over words), and these,
    times ``sharpness``, become for every word shares of the regions (softmax over regions).

    Args:
        words: (C, D, T) of C captions, zero where there is no word.
        padding: bool (C, T), true there.
        regions: (P, D, R) of P pictures.

    Returns:
        Products and shares, both (P, C, T, R). Shares are without meaning where there is no word.
    """
    captions, size, steps = words.shape
    flat = words.transpose(1, 2).reshape(captions * steps, size)
    products = (flat @ regions).unflatten(1, (captions, steps))
    of_words = products.masked_fill(padding[None, :, :, None], -torch.inf).softmax(dim=2)
    return products, (sharpness * of_words).softmax(dim=3)


def region_contexts(shares: Tensor, regions: Tensor) -> Tensor:
    """The mean of the regions (P, D, R) by every word's shares (P, C, T, R), (P, C, T, D) (eq. 9)."""
    return (shares.flatten(1, 2) @ regions.transpose(1, 2)).unflatten(1, shares.shape[1:3])


def word_scores(words: Tensor, padding: Tensor, regions: Tensor, sharpness: Sharpness) -> Tensor:
    """How well every picture matches the words of every caption: (P pictures, C captions), times gamma 3.

    Shapes as for ``region_shares``. Source: eq. 10, as the authors' code has it: log of the sum of
    exp(gamma2 * cosine), *without* the exponent 1 / gamma2 of the paper, which makes the scores gamma2 times as large.

    The cosine of a word and its context, the mean of the regions by its shares, needs no context, which would be the
    largest tensor by far: the product of the two is the mean of the word's products with the regions, and the square of
    the context's length follows from the products of the regions with each other.
    """
    products, shares = region_shares(words, padding, regions, sharpness.regions)
    among_regions = regions.transpose(1, 2) @ regions
    squares = ((shares.flatten(1, 2) @ among_regions).unflatten(1, shares.shape[1:3]) * shares).sum(3)
    norms = squares.clamp(min=_SMALLEST_NORM**2).sqrt() * words.norm(dim=1)
    similarity = (products * shares).sum(3) / norms.clamp(min=_SMALLEST_NORM)
    scores = (sharpness.words * similarity).masked_fill(padding, -torch.inf).logsumexp(dim=2)
    return sharpness.pairs * scores


def sentence_scores(sentences: Tensor, images: Tensor, sharpness: Sharpness) -> Tensor:
    """The cosine of every picture's vector (B, D) with every caption's (B, D), times gamma 3: (B pictures, B captions).
    """
    products = images @ sentences.T
    norms = images.norm(dim=1)[:, None] * sentences.norm(dim=1)[None]
    return sharpness.pairs * products / norms.clamp(min=_SMALLEST_NORM)


def same_class(labels: Tensor | None) -> Tensor | None:
    """bool (B, B), true for two different rows of the same class, which are not to be contrasted; None without labels.
    """
    if labels is None:
        return None
    return (labels[:, None] == labels[None]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)


def matching_losses(words: Tensor, sentences: Tensor, padding: Tensor, regions: Tensor, images: Tensor, *,
                    sharpness: Sharpness, labels: Tensor | None = None) -> MatchingLosses:
    """The losses of DAMSM (eqs. 11 to 13); row i of everything belongs together.

    Args:
        words: (B, D, T), zero where there is no word. ``sentences``: (B, D). ``padding``: bool (B, T), true there.
        regions: (B, D, H, W). ``images``: (B, D).
        labels: int64 (B,); pairs of different rows of one class are left out of the contrast.
    """
    excluded = same_class(labels)
    by_words = _two_ways(word_scores(words, padding, regions.flatten(2), sharpness), excluded)
    return MatchingLosses(*by_words, *_two_ways(sentence_scores(sentences, images, sharpness), excluded))


def _two_ways(scores: Tensor, excluded: Tensor | None) -> tuple[Tensor, Tensor]:
    if excluded is not None:
        scores = scores.masked_fill(excluded, -torch.inf)
    own = torch.arange(len(scores), device=scores.device)
    return functional.cross_entropy(scores, own), functional.cross_entropy(scores.T, own)
