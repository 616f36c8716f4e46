"""The state of a stage in training as a folder: state.safetensors and state.json, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.files import read_json, write_json, written_atomically
from limner.training.stage import Stage
from limner.training.tensors import load_tensors, save_tensors

FORMAT = 1


def collect(stage: Stage, averages: Mapping[str, nn.Module], totals: Mapping[str, Tensor]
            ) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a stage in training by name, and the rest of its optimisers' state as JSON."""
    tensors = {f"total/{name}": value for name, value in totals.items()}
    for kind, modules in (("module", stage.modules), ("average", averages)):
        for name, module in modules.items():
            for key, value in module.state_dict().items():
                tensors[f"{kind}/{name}/{key}"] = value
    skeletons: dict[str, Any] = {}
    for name, optimiser in stage.optimisers.items():
        skeletons[name] = _flatten(optimiser.state_dict(), tensors, f"optimiser/{name}")
    return tensors, skeletons


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of a tensor that holds NaN or infinity, or None."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None


def save(folder: Path, tensors: Mapping[str, Tensor], skeletons: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Writes a checkpoint beside ``folder`` and puts it in its place. Raises LimnerError on a full disk."""
    with written_atomically(folder) as temporary:
        temporary.mkdir()
        save_tensors(temporary / "state.safetensors", tensors)
        write_json(temporary / "state.json", {"format": FORMAT, **state, "optimisers": skeletons})


def restore(folder: Path, stage: Stage, averages: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Puts a checkpoint into a stage and its averages; returns the totals of the losses and the state.

    Raises:
        LimnerError: the checkpoint is damaged or belongs to other networks.
    """
    state = read_json(folder / "state.json")
    if state.get("format") != FORMAT:
        raise LimnerError(f"{folder} has checkpoint format {state.get('format')!r}; this Limner reads format {FORMAT}.")
    tensors = load_tensors(folder / "state.safetensors")
    restore_modules(folder, "module", stage.modules, tensors)
    restore_modules(folder, "average", averages, tensors)
    for name, optimiser in stage.optimisers.items():
        if name not in state["optimisers"]:
            raise LimnerError(f"{folder} has no optimiser {name!r}: it was written by another version of the stage.")
        saved = _unflatten(state["optimisers"][name], tensors)
        _lay_out_like_parameters(saved, optimiser)
        optimiser.load_state_dict(saved)
    totals = {key.removeprefix("total/"): value for key, value in tensors.items() if key.startswith("total/")}
    return totals, state


def restore_modules(folder: Path, kind: str, modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Puts the tensors of one kind (``module`` or ``average``) into modules. Raises LimnerError if they do not fit."""
    for name, module in modules.items():
        prefix = f"{kind}/{name}/"
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise LimnerError(f"{folder} does not fit the network {name!r}: it was written by another version of the "
                              f"stage ({str(error).splitlines()[-1].strip()}).") from None


def _flatten(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """A nested value as JSON; tensors go to ``tensors``. Dicts become lists of pairs: JSON has no integer keys."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _flatten(item, tensors, f"{name}/{key}")] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_flatten(item, tensors, f"{name}/{i}") for i, item in enumerate(value)]}
    return value


def _unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, content), = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unflatten(item, tensors) for key, item in content}
    items = [_unflatten(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def _lay_out_like_parameters(saved: dict[str, Any], optimiser: torch.optim.Optimizer) -> None:
    """Gives moments the memory layout of their parameters, as they had it: other layouts may round differently."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for index, entry in saved["state"].items():
        for key, value in entry.items():
            if isinstance(value, Tensor) and value.shape == parameters[index].shape:
                entry[key] = torch.empty_like(parameters[index], dtype=value.dtype, device="cpu").copy_(value)
