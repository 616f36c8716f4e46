"""Reading PyTorch checkpoints without running anything that they hold."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from limner.errors import LimnerError
from limner.interop.restricted_pickle import MAX_BYTES, check_size


def read_torch_checkpoint(path: Path, *, key: str | None = None, max_bytes: int = MAX_BYTES) -> dict[str, torch.Tensor]:
    """Read the tensors of a PyTorch checkpoint (``.pth``, ``.pt``; zip or legacy format), on the CPU.

    Args:
        path: the file.
        key: where the checkpoint is a dictionary of several things, the entry that holds the tensors.
        max_bytes: largest file that is opened.

    Returns:
        Name to tensor, in the file's order.

    Raises:
        LimnerError: no such file, not a checkpoint, cut short, holding objects other than tensors and plain data, or
            no dictionary of tensors at the top or under ``key``. Nothing of the file has run.
    """
    check_size(path, max_bytes)
    _check_zip(path, max_bytes)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler stumbles over
        reason = str(error).strip().splitlines() or [type(error).__name__]
        refused = [line.strip() for line in reason if "GLOBAL" in line or "Unsupported" in line]
        raise LimnerError(
            f"{path} is not a PyTorch checkpoint of tensors alone: {(refused or reason)[0][:300]} "
            "It was not opened any further and nothing in it has run."
        ) from None
    if key is not None:
        if not isinstance(content, dict) or key not in content:
            raise LimnerError(f"{path} has no entry {key!r}; it has: {_outline(content)}.")
        content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise LimnerError(
            f"{path} does not hold tensors by name {'at the top' if key is None else f'under {key!r}'}, "
            f"but {_outline(content)}. Name the entry that does with key=."
        )
    for name, tensor in content.items():
        if not isinstance(name, str):
            raise LimnerError(f"{path} names a tensor by {type(name).__name__} {name!r}; names must be strings.")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise LimnerError(f"{path}: the tensor {name!r} claims {tuple(tensor.shape)}, more than its storage holds.")
    return {name: tensor.detach() for name, tensor in content.items()}


def _outline(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    entries = [f"{key!r} ({type(value).__name__})" for key, value in list(content.items())[:12]]
    return "the entries " + ", ".join(entries) if entries else "an empty dictionary"


def _check_zip(path: Path, max_bytes: int) -> None:
    """Refuse archives that unpack to more than they are: PyTorch stores its tensors uncompressed."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise LimnerError(f"{path} is a broken zip file ({error}); fetch or copy it again.") from None
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries) or sum(e.file_size for e in entries) > max_bytes:
        raise LimnerError(f"{path} is a compressed or oversized archive, which no PyTorch checkpoint is.")
