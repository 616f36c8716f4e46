"""Tensors to safetensors files and back."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from limner.errors import LimnerError


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a safetensors file and waits until it is on the disk. Raises OSError, also for a full disk.

    Tensors may lie on any device and in any memory layout; those that share memory are written once each.
    """
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().to("cpu").contiguous()
        storage = copy.untyped_storage().data_ptr()
        if storage in seen:
            copy = copy.clone(memory_format=torch.contiguous_format)
        seen.add(storage)
        plain[name] = copy
    try:
        save_file(plain, path)
    except SafetensorError as error:
        if "os error 28" in str(error) or "No space left" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise OSError(errno.EIO, str(error), str(path)) from error
    with path.open("rb") as file:
        os.fsync(file.fileno())


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file to the CPU. Raises LimnerError if it is missing or damaged."""
    if not path.is_file():
        raise LimnerError(f"there is no file {path}.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise LimnerError(f"{path} is not a whole safetensors file ({error}).") from None
