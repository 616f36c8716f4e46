from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from limner.randomness import normal
from limner.systems.protocol import Request
from limner.systems.rows import ROWS, paint_in_rows


def _network() -> nn.Module:
    network = nn.Sequential(
        nn.Linear(24, 32 * 16), nn.Unflatten(1, (32, 4, 4)), nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(),
        nn.Upsample(scale_factor=2), nn.Conv2d(16, 3, 3, padding=1), nn.Tanh(),
    )
    with torch.no_grad():
        for place, weight in enumerate(network.parameters()):
            weight.copy_(normal(0, "rows", place, shape=weight.shape) * 0.2)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bits_of_a_row_do_not_depend_on_its_company(threads: int) -> None:
    """Floats are compared, not pixels: rounding to 256 steps would hide most differences."""
    network = _network()
    sizes = []

    def paint(requests: Sequence[Request]) -> list[Tensor]:
        sizes.append(len(requests))
        noise = torch.stack([normal(r.seed, "noise", r.index, shape=(24,)) for r in requests])
        with torch.inference_mode():
            return list(network(noise))

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        requests = [Request("", 7, index) for index in range(2 * ROWS + 3)]
        together = paint_in_rows(requests, paint)
        assert len(together) == len(requests)
        for request, row in zip(requests, together, strict=True):
            [alone] = paint_in_rows([request], paint)
            assert torch.equal(alone, row)
        turned = paint_in_rows(requests[::-1], paint)
        assert all(torch.equal(a, b) for a, b in zip(turned[::-1], together, strict=True))
    finally:
        torch.set_num_threads(before)
    assert set(sizes) == {ROWS}
    assert paint_in_rows([], paint) == []
