from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from limner.nn.wide import WideConv2d, joint_convolution

CASES = [  # channels in and out, kernel, stride, padding, side, bias
    (64, 6, 3, 1, 1, 4, False), (96, 8, 4, 2, 1, 8, True), (200, 5, 1, 1, 0, 4, True), (64, 7, 3, 1, 0, 5, False),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_a_convolution(case: tuple[int, int, int, int, int, int, bool], layout: torch.memory_format) -> None:
    before, after, kernel, stride, padding, side, bias = case
    plain, wide = (kind(before, after, kernel, stride=stride, padding=padding, bias=bias).double().to(
        memory_format=layout) for kind in (nn.Conv2d, WideConv2d))
    wide.load_state_dict(plain.state_dict())
    found = []
    for layer in (plain, wide):
        x = torch.randn(2, before, side, side, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
        out = layer(x)
        out.sin().sum().backward()
        assert x.grad is not None
        found.append((out.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())))
    assert len(found[0]) == (4 if bias else 3)
    for of_plain, of_wide in zip(*found, strict=True):
        torch.testing.assert_close(of_wide, of_plain)


def test_many_places_go_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = WideConv2d(16, 4, 3, padding=1)  # 144 weights for every output channel: up to 18 places
    used = []
    usual: Callable[..., torch.Tensor] = functional.linear
    monkeypatch.setattr(functional, "linear", lambda *given: used.append(1) or usual(*given))
    layer(torch.randn(1, 16, 4, 4))
    assert used == [1]
    layer(torch.randn(2, 16, 4, 4))
    layer(torch.randn(1, 16, 8, 8))
    assert used == [1]


def test_half_precision_stays_close() -> None:
    layer, x = WideConv2d(512, 32, 4, stride=2, padding=1), torch.randn(2, 512, 8, 8)
    exact = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = layer(x)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.02)


@pytest.mark.parametrize(("kernel", "side", "bias"), [(3, 4, True), (1, 4, False), (3, 2, True), (5, 6, True)])
def test_maps_that_meet_several_vectors_are_convolved_as_if_joined(kernel: int, side: int, bias: bool) -> None:
    layer = nn.Conv2d(7, 5, kernel, padding=kernel // 2, bias=bias).double()
    maps = torch.randn(2, 4, side, side).double()
    for times in (1, 3):
        vectors = torch.randn(2 * times, 3).double()
        tiled = vectors[:, :, None, None].expand(-1, -1, side, side)
        expected = layer(torch.cat([maps.repeat(times, 1, 1, 1), tiled], dim=1))
        torch.testing.assert_close(joint_convolution(layer, maps, vectors), expected)
