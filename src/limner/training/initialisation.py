"""Initial weights from an address, although torch's layers draw theirs from the global generator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from limner.randomness import torch_generator


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
