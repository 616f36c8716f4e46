"""Finding the layers of a Torch7 network that :func:`limner.interop.torch7.read_torch7` has read."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner.errors import LimnerError
from limner.interop.torch7 import LuaTable, TorchObject

_MAX_LAYERS = 10_000


def short_name(module: TorchObject) -> str:
    """Class without its package: ``cudnn.SpatialConvolution`` -> ``SpatialConvolution``."""
    return module.class_name.rpartition(".")[2]


def children(module: Any) -> list[TorchObject]:
    """The modules of a container in order; none for a layer."""
    table = module.fields.get("modules") if isinstance(module, TorchObject) else None
    if not isinstance(table, LuaTable):
        return []
    return [child for child in table.items_in_order() if isinstance(child, TorchObject)]


def leaves(root: Any, path: Path) -> list[TorchObject]:
    """The layers below a network in the order of its containers.

    Raises:
        LimnerError: not a network, or one that contains itself.
    """
    if not isinstance(root, TorchObject):
        raise LimnerError(f"{path} holds a {type(root).__name__} and not a Torch7 network.")
    found: list[TorchObject] = []
    todo = [root]
    for _ in range(_MAX_LAYERS):
        if not todo:
            return found
        module = todo.pop()
        below = children(module)
        todo.extend(reversed(below))
        if not below and not isinstance(module.fields.get("modules"), LuaTable):
            found.append(module)
    raise LimnerError(f"{path} holds a network of more than {_MAX_LAYERS} layers, or one that contains itself.")


def array(module: TorchObject, name: str, path: Path) -> np.ndarray:
    """A field of a layer that must be a tensor of finite floating point numbers.

    Raises:
        LimnerError: it is missing or something else.
    """
    value = module.fields.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.size == 0:
        raise LimnerError(
            f"{path}: a {module.class_name} has no tensor {name!r}; was the network saved with its weights?"
        )
    if not np.isfinite(value).all():
        raise LimnerError(f"{path}: {name!r} of a {module.class_name} holds values that are not finite.")
    return value


def number(module: TorchObject, name: str, default: float, path: Path) -> float:
    """A field of a layer that must be a number, or the default where the layer has no such field.

    Raises:
        LimnerError: it is something else.
    """
    value = module.fields.get(name, default)
    if not isinstance(value, int | float):
        raise LimnerError(f"{path}: {name!r} of a {module.class_name} is a {type(value).__name__} and not a number.")
    return value


def tensor(values: np.ndarray) -> torch.Tensor:
    """A float32 copy that shares nothing with the file."""
    return torch.from_numpy(np.array(values, dtype=np.float32))
