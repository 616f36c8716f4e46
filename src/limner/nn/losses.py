"""Losses that several systems share."""

from torch import Tensor

BCE_EPSILON = 1e-12


def eps_bce(probabilities: Tensor, *, real: bool) -> Tensor:
    """Binary cross entropy of every probability against one hard label, with Torch7's guard inside the logarithm.

    ``-log(p + 1e-12)`` for the label 1 (``real``), ``-log(1 - p + 1e-12)`` for 0; the shape of ``probabilities``, not
    averaged. It stays finite (27.63) at p = 0 and p = 1, where its gradient with respect to p is as large as 1e12.

    Source: nn.BCECriterion of Torch7, the criterion of the official GAN-CLS and GAWWN code.
    """
    return -((probabilities if real else 1 - probabilities) + BCE_EPSILON).log()
