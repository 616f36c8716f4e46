"""CUDA graphs: what a step computes as a few launches, so that a GPU does not wait for Python between small kernels."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from limner.training.stage import Work, WorkContext

_WARM_UP = 3
"""Steps of a kind that run as usual before one is recorded: libraries choose kernels and take memory in the first."""


def record_passes(module: nn.Module, inputs: tuple[Tensor, ...], autocast: Callable[[], AbstractContextManager[Any]]
                  ) -> None:
    """Records the training passes of a module on a GPU, and has it replay them from now on; elsewhere, does nothing.

    From then on inputs must have the shapes of ``inputs``, nothing inside may depend on the values of a tensor, and the
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


class StepRecorder:
    """Records the work of a stage's steps on a GPU: a graph up to each update, and the optimisers' steps between them.

    See ``StepContext.recorded`` for what may be recorded. The parameters must stay where they lie, and so do their
    gradients: they are set to zero, not to None.
    """

    def __init__(self) -> None:
        self._recordings: dict[Hashable, _Recording] = {}
        self._stream = torch.cuda.Stream()
        self._pool = torch.cuda.graph_pool_handle()

    @property
    def kinds(self) -> list[Hashable]:
        """The kinds of steps that have been recorded."""
        return [key for key, recording in self._recordings.items() if recording.losses is not None]

    def run(self, context: WorkContext, apply: Callable[[torch.optim.Optimizer], None], work: Work,
            inputs: tuple[Tensor | None, ...], kind: Hashable) -> dict[str, Tensor]:
        """Does the work, by replaying it once it is recorded.

        Args:
            apply: the optimiser's step with the gradients that are there.
            kind: what the work does differently from step to step; each kind (and each choice of shapes) is recorded by
                itself.
        """
        shapes = tuple(None if value is None else (value.shape, value.dtype) for value in inputs)
        recording = self._recordings.get((kind, shapes))
        if recording is None:
            recording = self._recordings[kind, shapes] = _Recording(self._stream, self._pool)
        if recording.warm < _WARM_UP:
            recording.warm += 1
            return recording.rehearse(context, apply, work, inputs)
        if recording.losses is None:
            recording.record(context, work, inputs)
        return recording.replay(context, apply, inputs)


class _Recording:
    """One kind of step: the tensors it reads, and its graphs."""

    def __init__(self, stream: torch.cuda.Stream, pool: Any) -> None:
        self.warm = 0
        self.losses: Tensor | None = None
        self._names: tuple[str, ...] = ()
        self._stream, self._pool = stream, pool
        self._inputs: tuple[Tensor | None, ...] = ()
        self._draws: dict[tuple[str, str, int, tuple[int, ...]], Tensor] = {}
        self._parts: list[tuple[torch.cuda.CUDAGraph, torch.optim.Optimizer | None]] = []

    def rehearse(self, context: WorkContext, apply: Callable[[torch.optim.Optimizer], None], work: Work,
                 inputs: tuple[Tensor | None, ...]) -> dict[str, Tensor]:
        """The work as usual, where it will be recorded, with notes of what is drawn."""
        self._draws.clear()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            losses = work(_Rehearsal(context, self._draws, apply), *inputs)
            losses = {name: value.detach().clone() for name, value in losses.items()}
        torch.cuda.current_stream().wait_stream(self._stream)
        return losses

    def record(self, context: WorkContext, work: Work, inputs: tuple[Tensor | None, ...]) -> None:
        """Records without computing anything."""
        self._inputs = tuple(None if value is None else value.clone() for value in inputs)
        torch.cuda.synchronize()
        gc.collect()
        with torch.cuda.stream(self._stream):
            self._begin()
            try:
                losses = work(_Rehearsal(context, self._draws, self._next_part), *self._inputs)
                self._names = tuple(losses)
                self.losses = torch.stack([value.detach().float() for value in losses.values()])
            finally:
                self._end(None)

    def replay(self, context: WorkContext, apply: Callable[[torch.optim.Optimizer], None],
               inputs: tuple[Tensor | None, ...]) -> dict[str, Tensor]:
        """The recorded work with other inputs, and with what the context draws in this step."""
        for mine, value in zip(self._inputs, inputs, strict=True):
            if mine is not None and value is not None:
                mine.copy_(value)
        for (draw, purpose, rows, shape), mine in self._draws.items():
            mine.copy_(getattr(context, draw)(purpose, rows, *shape))
        for graph, optimiser in self._parts:
            graph.replay()
            if optimiser is not None:
                apply(optimiser)
        assert self.losses is not None
        return dict(zip(self._names, self.losses.clone().unbind(), strict=True))

    def _begin(self) -> None:
        self._parts.append((torch.cuda.CUDAGraph(), None))
        # other threads prepare batches meanwhile
        self._parts[-1][0].capture_begin(pool=self._pool, capture_error_mode="thread_local")

    def _end(self, optimiser: torch.optim.Optimizer | None) -> None:
        graph, _ = self._parts[-1]
        graph.capture_end()
        self._parts[-1] = graph, optimiser

    def _next_part(self, optimiser: torch.optim.Optimizer) -> None:
        self._end(optimiser)
        self._begin()


class _Rehearsal:
    """The context of work that is, or will be, recorded: what it draws stays in place, to be drawn into again."""

    def __init__(self, context: WorkContext, draws: dict[tuple[str, str, int, tuple[int, ...]], Tensor],
                 apply: Callable[[torch.optim.Optimizer], None]) -> None:
        self._context, self._draws, self._apply = context, draws, apply

    @property
    def device(self) -> torch.device:
        return self._context.device

    def autocast(self) -> AbstractContextManager[Any]:
        return self._context.autocast()

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        return self._drawn("normal", purpose, rows, shape)

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        return self._drawn("uniform", purpose, rows, shape)

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, *, retain_graph: bool = False) -> None:
        optimiser.zero_grad(set_to_none=False)
        loss.backward(retain_graph=retain_graph)
        self._apply(optimiser)

    def _drawn(self, draw: str, purpose: str, rows: int, shape: tuple[int, ...]) -> Tensor:
        key = draw, purpose, rows, shape
        if key not in self._draws:
            self._draws[key] = getattr(self._context, draw)(purpose, rows, *shape)
        return self._draws[key]
