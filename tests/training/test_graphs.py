"""The part of recording that needs no GPU; ``tests/systems/test_presets.py`` has the rest."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from limner.training.context import LoopContext
from limner.training.graphs import _Rehearsal
from limner.training.stage import WorkContext


def _context() -> LoopContext:
    return LoopContext(Fabric(accelerator="cpu", devices=1), 0, "gan", 3, 24, 80)


def test_what_is_drawn_and_the_gradients_stay_where_they_lie() -> None:
    context, draws, updated = _context(), {}, []
    rehearsal = _Rehearsal(context, draws, updated.append)
    weight = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    noise, numbers = rehearsal.normal("noise", 2, 3), rehearsal.uniform("noise", 2, 3)
    assert torch.equal(noise, context.normal("noise", 2, 3))
    assert torch.equal(numbers, context.uniform("noise", 2, 3))
    assert rehearsal.normal("noise", 2, 3) is noise
    assert rehearsal.uniform("noise", 2, 3) is numbers
    assert len(draws) == 2
    rehearsal.update(optimiser, (weight * noise).sum())
    gradient = weight.grad
    assert gradient is not None
    rehearsal.update(optimiser, (weight * numbers).sum())
    assert weight.grad is gradient
    torch.testing.assert_close(gradient, numbers.sum(0))
    assert updated == [optimiser, optimiser]
    assert weight.tolist() == [1.0, 1.0, 1.0]


def test_without_a_recorder_work_just_runs() -> None:
    def work(context: WorkContext, first: Tensor, second: Tensor | None) -> dict[str, Tensor]:
        assert second is None
        return {"loss": first + context.normal("noise", 1)[0]}

    context = _context()
    losses = context.recorded(work, torch.ones(()), None, kind=8.0)
    assert torch.equal(losses["loss"], 1 + context.normal("noise", 1)[0])
