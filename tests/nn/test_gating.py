import pytest
import torch
from torch.nn import functional

from limner.nn.gating import gated


@pytest.mark.parametrize("last", [False, True])
def test_the_gated_linear_unit_and_its_gradients(last: bool) -> None:
    x = torch.randn(2, 6, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    assert torch.autograd.gradcheck(gated, (x,))
    torch.testing.assert_close(gated(x), functional.glu(x, dim=1))
    assert gated(x).is_contiguous(memory_format=torch.channels_last) == last


def test_the_gated_linear_unit_of_vectors_in_bf16() -> None:
    x = torch.tensor([[1.0, 2.0, 0.0, 100.0]], dtype=torch.bfloat16)
    assert gated(x).tolist() == [[0.5, 2.0]]
