"""Generators in a form that only paints, and faster."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from limner.nn.folding import fold_batch_norms
from limner.nn.layout import channels_last
from limner.nn.upsampling import DoublingConvolution, doubling_for_painting
from limner.nn.winograd import use_winograd

M = TypeVar("M", bound=nn.Module)


def for_painting(generator: M) -> M:
    """A generator made ready to do nothing but paint, in place: channels-last, batch normalisations folded into the
    layers before them, kernels of doublings and of wide convolutions worked out. Names and shapes of its state change,
    so take the state dict before.
    """
    fold_batch_norms(generator.eval().requires_grad_(False))
    for module in list(generator.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, DoublingConvolution):
                setattr(module, name, doubling_for_painting(layer))
    use_winograd(generator)
    return channels_last(generator)
