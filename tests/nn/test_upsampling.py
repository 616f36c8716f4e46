import torch
from torch.nn import functional

from limner.nn.upsampling import doubled


def test_doubling_and_convolution_in_one() -> None:
    numbers = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=numbers, dtype=torch.float64, requires_grad=True)
                       for shape in ((2, 3, 4, 5), (6, 3, 3, 3), (6,)))
    expected = functional.conv2d(functional.interpolate(x, scale_factor=2), weight, bias, padding=1)
    result = doubled(x, weight, bias)
    torch.testing.assert_close(result, expected)
    towards = torch.randn(expected.shape, generator=numbers, dtype=torch.float64)
    for ours, theirs in zip(torch.autograd.grad(result, (x, weight, bias), towards),
                            torch.autograd.grad(expected, (x, weight, bias), towards), strict=True):
        torch.testing.assert_close(ours, theirs)
