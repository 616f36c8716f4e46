import pytest
import torch
from torch import nn

from limner.nn.winograd import WinogradConvolution, use_winograd


@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_direct_convolution(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=bias).double().requires_grad_(False)
    x = torch.randn(2, 3, 6, 10, dtype=torch.float64)
    result = WinogradConvolution(layer.weight, layer.bias)(x)
    torch.testing.assert_close(result, layer(x), rtol=0, atol=1e-13)
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_rounding_in_float32_is_small() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(256, 256, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, 256, 16, 16)
    error = (WinogradConvolution(layer.weight, layer.bias)(x) - layer(x)).abs().max()
    assert 0 < error < 1e-4


def test_only_convolutions_that_gain_are_replaced() -> None:
    network = nn.Sequential(nn.Conv2d(256, 8, 3, padding=1), nn.Conv2d(8, 256, 3, padding=1),
                            nn.Sequential(nn.Conv2d(256, 4, 3, padding=1, stride=2), nn.Conv2d(4, 4, 1)))
    network.requires_grad_(False)
    x = torch.randn(1, 256, 8, 8)
    before = network(x)
    use_winograd(network)
    assert [isinstance(module, WinogradConvolution) for module in network] == [True, False, False]
    torch.testing.assert_close(network(x), before, rtol=0, atol=1e-4)
