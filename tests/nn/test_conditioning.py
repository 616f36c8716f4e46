from __future__ import annotations

import pytest
import torch

from limner.nn.conditioning import Activation, ConditioningAugmentation, Deviation


@pytest.mark.parametrize(("activation", "deviation"), [
    ("relu", "log-variance"), ("leaky-relu", "log-deviation"), ("leaky-relu", "log-variance"), ("glu", "log-variance"),
])
def test_it_begins_with_the_deviation_that_it_is_told(activation: Activation, deviation: Deviation) -> None:
    augmentation = ConditioningAugmentation(6, 5, activation=activation, deviation=deviation)
    torch.nn.init.zeros_(augmentation.linear.weight)
    torch.nn.init.zeros_(augmentation.linear.bias)
    wanted = 1.0 if activation == "relu" else 0.25
    augmentation.begin_with(wanted)
    condition = augmentation(torch.randn(3, 6), torch.ones(3, 5))
    torch.testing.assert_close(condition.mean, torch.zeros(3, 5))
    torch.testing.assert_close(condition.code, torch.full((3, 5), wanted))
