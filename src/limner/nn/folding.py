"""Frozen networks without their batch normalisation: its statistics folded into the layers before."""

from __future__ import annotations

import itertools
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

M = TypeVar("M", bound=nn.Module)


def fold_batch_norms(network: M) -> M:
    """Folds every batch normalisation into the convolution or linear layer that stands right before it in the same
    module, in place, and puts an identity where it was; returns the network.

    For frozen networks in evaluation mode whose modules apply such pairs one after the other. The result is the same
    but for rounding; the names of the weights change (there are biases), so take the state dict before.
    """
    for module in network.modules():
        for (before, layer), (after, norm) in itertools.pairwise(list(module.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                fused: nn.Module = fuse_conv_bn_eval(layer, norm)
            elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
                fused = fuse_linear_bn_eval(layer, norm)
            else:
                continue
            setattr(module, before, fused.requires_grad_(False))
            setattr(module, after, nn.Identity())
    return network
