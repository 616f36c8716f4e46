"""Run by torchrun: checks the gradients of two processes, then trains the toy.

    torchrun --nproc-per-node 2 -m tests.training.processes_script RUN
"""

import sys
from pathlib import Path

import torch
from tests.training import toy
from torch import nn

from limner.training.context import LoopContext
from limner.training.devices import launch, share_from_first
from limner.training.settings import RunSettings

CONFIG = toy.ToyConfig(normalise=False)


def _check_gradients() -> None:
    fabric = launch(RunSettings(device="cpu", precision="32", threads=1))
    torch.manual_seed(fabric.global_rank)  # every process starts from other weights
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.LeakyReLU(0.2), nn.Linear(16, 3))
    share_from_first([network], fabric)
    context = LoopContext(fabric, seed=1, stage="s", step=5, images_seen=0, images=100)
    joined = LoopContext(fabric, seed=1, stage="s", step=5, images_seen=0, images=100)
    x = torch.arange(6 * 2 * 16, dtype=torch.float32).reshape(6, 2, 4, 4).sin()
    size = fabric.world_size
    rows = slice(fabric.global_rank * 6 // size, (fabric.global_rank + 1) * 6 // size)
    noise = context.normal("z", 6 // size, 3)
    context.update(torch.optim.SGD(network.parameters(), lr=0.0), ((network(x[rows]) - noise) ** 2).mean())
    ours = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    whole_noise = torch.cat(_gathered(noise, size))
    ((network(x) - whole_noise) ** 2).mean().backward()
    for gradient, parameter in zip(ours, network.parameters()):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-6, atol=1e-7)
    from limner.randomness import normal

    assert torch.equal(whole_noise, normal(1, joined._address("z"), 5, shape=(6, 3)))


def _gathered(tensor: torch.Tensor, size: int) -> list[torch.Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(size)]
    torch.distributed.all_gather(parts, tensor)
    return parts


if __name__ == "__main__":
    _check_gradients()
    toy.train(Path(sys.argv[1]), config=CONFIG)
