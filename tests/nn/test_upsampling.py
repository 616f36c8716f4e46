import pytest
import torch
from torch.nn import functional

from limner.nn import upsampling
from limner.nn.upsampling import DoublingConvolution, SmallDoubling, doubled, doubling_for_painting


def test_doubling_and_convolution_in_one() -> None:
    numbers = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=numbers, dtype=torch.float64, requires_grad=True)
                       for shape in ((2, 3, 4, 5), (6, 3, 3, 3), (6,)))
    expected = functional.conv2d(functional.interpolate(x, scale_factor=2), weight, bias, padding=1)
    result = doubled(x, weight, bias)
    torch.testing.assert_close(result, expected.detach())
    towards = torch.randn(expected.shape, generator=numbers, dtype=torch.float64)
    for ours, theirs in zip(torch.autograd.grad(result, (x, weight, bias), towards),
                            torch.autograd.grad(expected, (x, weight, bias), towards), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_flow_also_after_a_first_call_in_inference_mode() -> None:
    upsampling._both_ways.cache_clear()
    x, weight = torch.randn(1, 2, 4, 4), torch.randn(3, 2, 3, 3, requires_grad=True)
    with torch.inference_mode():
        doubled(x, weight)
    doubled(x, weight).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("side", [4, 8, 16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_doubling_is_a_convolution_of_the_enlarged_map_also_made_for_painting(side: int, bias: bool) -> None:
    layer = DoublingConvolution(3, 6, side=side, bias=bias).double()
    x = torch.randn(2, 3, side, side + 1, dtype=torch.float64)
    enlarged = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = functional.conv2d(enlarged, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)
    probe = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad((y * probe).sum(), layer.weight) for y in (layer(x), expected))
    torch.testing.assert_close(ours, theirs)
    painting = doubling_for_painting(layer.requires_grad_(False))
    assert isinstance(painting, SmallDoubling) == (side < 16)
    result = painting(x)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last) or side == 16
