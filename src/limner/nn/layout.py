"""The memory layout in which convolutions run fastest."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def channels_last(module: M) -> M:
    """Lays the weights of a network's convolutions out channels-last (NHWC), in place; returns the network."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
