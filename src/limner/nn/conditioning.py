"""Conditioning augmentation: a caption becomes a small Gaussian, and a sample of it conditions the painting."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.whitening import Whitened

Activation = Literal["relu", "leaky-relu", "glu"]
Deviation = Literal["log-variance", "log-deviation"]


class Condition(NamedTuple):
    """A sample of a caption's Gaussian, and the Gaussian; each (B, C)."""

    code: Tensor
    mean: Tensor
    log_variance: Tensor


class ConditioningAugmentation(nn.Module):
    """One linear layer from an embedding to mean and spread of a Gaussian with independent components.

    Args:
        text_size: length T of the embedding.
        condition_size: length C of the condition.
        activation: over both halves. ``relu`` (StackGAN in PyTorch) keeps the mean at or above 0 and the deviation at
            or above 1; ``leaky-relu`` (slope 0.2; StackGAN in TensorFlow); ``glu`` (AttnGAN), which takes twice the
            outputs.
        deviation: what the second half is: log of the variance (PyTorch) or of the standard deviation (TensorFlow).
        whitened: whiten the embedding first (ours; ``whitened.fit`` takes the statistics).

    Source: the two official releases of StackGAN (Zhang et al., ICCV 2017).
    """

    def __init__(self, text_size: int, condition_size: int, *, activation: Activation = "relu",
                 deviation: Deviation = "log-variance", whitened: bool = False) -> None:
        super().__init__()
        self.whitened = Whitened(text_size) if whitened else None
        self.linear = nn.Linear(text_size, (4 if activation == "glu" else 2) * condition_size)
        self.activation: Activation = activation
        self.deviation: Deviation = deviation

    @torch.no_grad()
    def begin_with(self, deviation: float) -> None:
        """Sets biases so that, where weights are small, the Gaussian has this deviation before training, above 0 and at
        most 1; with ``relu`` it cannot be below 1."""
        second = 2 * math.log(deviation) if self.deviation == "log-variance" else math.log(deviation)
        sizes = self.linear.out_features // 4 if self.activation == "glu" else self.linear.out_features // 2
        # a leaky ReLU of slope 0.2 divides by five; a gated value by two, with its gate half open
        self.linear.bias[sizes:2 * sizes] = second * {"relu": 1, "leaky-relu": 5, "glu": 2}[self.activation]

    def forward(self, text: Tensor, noise: Tensor | None) -> Condition:
        """Embeddings (B, T) and noise (B, C) to a condition; without noise the code is the mean."""
        x = self.linear(text if self.whitened is None else self.whitened(text))
        if self.activation == "relu":
            x = functional.relu(x)
        elif self.activation == "leaky-relu":
            x = functional.leaky_relu(x, 0.2)
        else:
            x = functional.glu(x, dim=1)
        mean, second = x.to(torch.promote_types(x.dtype, torch.float32)).chunk(2, dim=1)
        log_variance = second if self.deviation == "log-variance" else 2 * second
        code = mean if noise is None else mean + (log_variance / 2).exp() * noise
        return Condition(code, mean, log_variance)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1), the **mean** over rows and components.

    Source: both official releases of StackGAN; the usual formula is the sum over components (C times as much).
    """
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()


def truncated_normal(noise: Tensor) -> Tensor:
    """Standard normal noise to noise of the normal distribution cut off at 2 standard deviations.

    Each number keeps its rank (the inverse of the distribution function), so addressed noise stays addressed.
    """
    low = 0.5 * math.erfc(2 / math.sqrt(2))
    share = torch.special.ndtr(noise.double())
    return torch.special.ndtri(low + share * (1 - 2 * low)).to(noise.dtype)
