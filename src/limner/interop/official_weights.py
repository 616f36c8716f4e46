"""Official weights under our names, held against the network that they should make."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from limner.errors import LimnerError


def fitted(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The state in the order of the network.

    Args:
        state: weights by our names. Counters of batches, which files of 2017 lack, become 0.
        expected: state dict of the network, for names and shapes (it may lie on the device ``meta``).
        where: file and network, for messages.

    Raises:
        LimnerError: a weight is missing, superfluous, of another shape, or not finite.
    """
    found = {}
    for name, like in expected.items():
        if name not in state and not name.endswith("num_batches_tracked"):
            raise LimnerError(f"{where} is not whole: it lacks what becomes {name}.")
        value = state.get(name, torch.tensor(0))
        if value.shape != like.shape:
            raise LimnerError(f"{where}: {name} has the shape {tuple(value.shape)}; the other layers ask for "
                              f"{tuple(like.shape)}.")
        if not torch.isfinite(value.float()).all():
            raise LimnerError(f"{where}: {name} holds numbers that are not finite.")
        found[name] = value
    surplus = sorted(state.keys() - expected.keys())
    if surplus:
        raise LimnerError(f"{where} holds what becomes {surplus[0]}, which a network of these sizes does not have.")
    return found
