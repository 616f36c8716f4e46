import pytest
import torch
from torch import nn

from limner.training.averaging import Averages
from limner.training.stage import Schedule


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_memory_halves_over_the_half_life_and_is_short_at_the_start() -> None:
    averages = Averages({"g": _network()}, ["g"], Schedule(10_000, average_half_life=1000, average_warmup=0.1))
    assert averages.memory(1000, 50_000) == pytest.approx(0.5)
    assert averages.memory(250, 50_000) ** 4 == pytest.approx(0.5)
    assert averages.memory(100, 1000) == pytest.approx(0.5)  # a tenth of 1000 images
    assert averages.memory(8, 0) == 0.0


def test_parameters_and_floating_buffers_are_averaged_and_counters_copied() -> None:
    network, other = _network(), _network()
    averages = Averages({"g": network, "d": other}, ["g"], Schedule(10_000, average_half_life=100, average_warmup=1.0))
    assert set(averages.modules) == {"g"}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(2)
    averages.update(100, 1000)
    for name, value in averages.modules["g"].state_dict().items():
        step = 2 if name.endswith("num_batches_tracked") else 1
        torch.testing.assert_close(value, before[name] + step)
    assert not averages.modules["g"].training
    assert not any(parameter.requires_grad for parameter in averages.modules["g"].parameters())


def test_no_half_life_keeps_no_average() -> None:
    averages = Averages({"g": _network()}, ["g"], Schedule(100))
    averages.update(10, 10)
    assert averages.modules == {}
