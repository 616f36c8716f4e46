from __future__ import annotations

import torch

from limner.nn.whitening import Whitened


def test_directions_of_little_variance_count_like_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    text = torch.randn(4000, 4, generator=generator) * torch.tensor([10.0, 3.0, 1.0, 0.01]) @ turn + 5
    whitened = Whitened(4)
    whitened.fit(text)
    seen = whitened(text)
    torch.testing.assert_close(seen.mean(0), torch.zeros(4), rtol=0, atol=1e-4)
    deviations = torch.linalg.svdvals(seen) / 4000**0.5
    assert deviations[2] > 0.9 * deviations[0]  # a hundredth of the largest variance: kept
    assert deviations[3] < 0.1 * deviations[0]  # far below a thousandth: stays small
    torch.testing.assert_close(seen.square().mean(), torch.tensor(1.0))


def test_equal_embeddings_give_zeros() -> None:
    whitened = Whitened(2)
    whitened.fit(torch.ones(5, 2))
    assert torch.equal(whitened(torch.ones(3, 2)), torch.zeros(3, 2))
