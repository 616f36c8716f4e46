"""The optimiser and learning rate with which the released encoders were trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

START = 7e-4
"""First learning rate of the released birds and flowers encoders."""
DECAY = 0.98
"""Factor on the learning rate after every "epoch", which is as many steps as there are training classes."""


def optimiser(parameters: Iterable[nn.Parameter], *, learning_rate: float = START) -> torch.optim.RMSprop:
    """RMSprop with alpha 0.99 and 1e-8 added after the square root, no momentum (released training script)."""
    return torch.optim.RMSprop(parameters, lr=learning_rate, alpha=0.99, eps=1e-8)


def learning_rate(step: int, *, classes: int, start: float = START) -> float:
    """The learning rate of step 0, 1, ...: ``start * 0.98 ** (step // classes)``.

    The released script's "epoch" is one step per training class (150 for birds, 82 for flowers), not a pass over the
    images; it trains for 200 of them (30 000 and 16 400 steps).
    """
    return start * DECAY ** (step // classes)
