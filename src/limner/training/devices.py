"""Where a run computes, in which precision, and how its processes share the work."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.precision import resolve_precision
from limner.training.settings import RunSettings

_BUCKET = 25 * 2**20


def launch(settings: RunSettings) -> Fabric:
    """Sets device, threads and precision up and joins the other processes if ``torchrun`` started this one.

    Raises:
        LimnerError: the device asked for is not there.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    accelerator = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, accelerator)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the loop's own reporter speaks
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    fabric = Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=processes // local,
        strategy="ddp" if processes > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def resolve_device(name: str) -> str:
    """``auto`` as cuda, mps or cpu. Raises LimnerError for a device that is not there."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, there in present.items() if there)
    if not present[name]:
        there = ", ".join(device for device in present if present[device])
        raise LimnerError(f"this machine (or this build of torch) has no device {name!r}; it has {there}.")
    return name


def share_from_first(modules: Iterable[nn.Module], fabric: Fabric) -> None:
    """Gives every process the parameters and buffers of the first one."""
    if fabric.world_size > 1:
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                torch.distributed.broadcast(tensor.detach(), src=0)


def share_buffers_from_first(modules: Iterable[nn.Module], fabric: Fabric) -> None:
    """Gives every process the buffers of the first one: batch norm statistics drift apart between the processes."""
    if fabric.world_size > 1:
        for module in modules:
            for tensor in module.buffers():
                torch.distributed.broadcast(tensor.detach(), src=0)


def average_gradients(optimiser: torch.optim.Optimizer, world_size: int) -> None:
    """Replaces the gradients of an optimiser's parameters by their mean over all processes, in flat buckets."""
    if world_size == 1:
        return
    gradients = [parameter.grad for group in optimiser.param_groups for parameter in group["params"]
                 if parameter.grad is not None]
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        torch.distributed.all_reduce(flat)
        flat /= world_size
        for gradient, mean in zip(bucket, flat.split([gradient.numel() for gradient in bucket]), strict=True):
            gradient.copy_(mean.view(gradient.shape))


def _buckets(gradients: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    """Gradients of one type in lists of at most 25 MiB (or one tensor)."""
    open_buckets: dict[torch.dtype, list[Tensor]] = {}
    sizes: dict[torch.dtype, int] = {}
    for gradient in gradients:
        size = gradient.numel() * gradient.element_size()
        kind = gradient.dtype
        if kind in open_buckets and sizes[kind] + size > _BUCKET:
            yield open_buckets.pop(kind)
        sizes[kind] = sizes[kind] + size if kind in open_buckets else size
        open_buckets.setdefault(kind, []).append(gradient)
    yield from open_buckets.values()


def mean_over_processes(values: Mapping[str, Tensor], world_size: int) -> dict[str, float]:
    """Scalars on the device as numbers, averaged over the processes; one transfer for all."""
    if not values:
        return {}
    stacked = torch.stack(list(values.values()))
    if world_size > 1:
        torch.distributed.all_reduce(stacked)
        stacked /= world_size
    return dict(zip(values, stacked.tolist(), strict=True))


def any_process(flag: bool, fabric: Fabric) -> bool:
    """Whether the flag is set in any process."""
    if fabric.world_size == 1:
        return flag
    votes = torch.tensor(float(flag), device=fabric.device)
    torch.distributed.all_reduce(votes)
    return bool(votes.item() > 0)
