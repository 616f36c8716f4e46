"""Initial weights by address, and those of convolutional GANs with their rule for convolution biases."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from limner.randomness import torch_generator

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@contextlib.contextmanager
def seeded_initialisation(seed: int, purpose: str, *index: int) -> Iterator[None]:
    """Within the body, torch's global CPU generator stands at the address (seed, purpose, index ...).

    Build networks inside. The generator's state of before comes back at the end, so nothing else is affected.
    """
    before = torch.get_rng_state()
    torch.set_rng_state(torch_generator(seed, purpose, *index).get_state())
    try:
        yield
    finally:
        torch.set_rng_state(before)


@torch.no_grad()
def initialise_gan(network: nn.Module, generator: torch.Generator, *, std: float = 0.02) -> None:
    """Draw the weights of a DCGAN-style network in place, layer after layer in registration order.

    Convolutions: weight N(0, std), bias 0. Batch normalisation: weight N(1, std), bias 0, running mean 0 and
    variance 1. Linear layers: weight and bias U(-1/sqrt(fan_in), 1/sqrt(fan_in)), Torch's own default.

    Source: official GAN-CLS code (Reed et al. 2016), after DCGAN (Radford et al. 2015).
    """
    for module in network.modules():
        if isinstance(module, _CONVOLUTIONS):
            module.weight.normal_(0.0, std, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, _BATCH_NORMS):
            module.reset_running_stats()
            module.weight.normal_(1.0, std, generator=generator)
            module.bias.zero_()
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=generator)


def convolution_biases(network: nn.Module) -> Iterator[Tensor]:
    """Yield the bias of every convolution and transposed convolution of a network that has one."""
    for module in network.modules():
        if isinstance(module, _CONVOLUTIONS) and module.bias is not None:
            yield module.bias


def hold_convolution_biases_at_zero(network: nn.Module) -> None:
    """Set every convolution bias to 0 and take it out of training (``requires_grad`` False).

    The official GAN-CLS code sets all convolution biases of both networks to 0 before every update, so that no pass in
    training ever sees another value. Holding them gives the same training; the slots stay, because imported weights
    may fill them.
    """
    for bias in convolution_biases(network):
        bias.requires_grad_(False).zero_()
