"""CUDA graphs: a forward and a backward pass as one launch each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn


def record_passes(module: nn.Module, inputs: tuple[Tensor, ...], autocast: Callable[[], AbstractContextManager[Any]]
                  ) -> None:
    """Records the training passes of a module on a GPU, and has it replay them from now on; elsewhere, does nothing.

    A GPU waits for Python between the many small kernels of a recurrent network; recorded, they run back to back. From
    then on inputs must have the shapes of ``inputs``, nothing inside may depend on the values of a tensor, and the
    parameters must stay where they lie.
    """
    if inputs[0].device.type != "cuda":
        return
    with autocast():
        keeps_casts = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)  # what is cast before a recording would be missing in it
        try:
            torch.cuda.make_graphed_callables(module, inputs, allow_unused_input=True)
        finally:
            torch.set_autocast_cache_enabled(keeps_casts)
