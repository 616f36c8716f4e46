from __future__ import annotations

import torch

from limner.nn.agreement import Agreement


def test_agreement_is_a_dot_product_over_every_place_and_the_largest_values() -> None:
    head, features, text = Agreement(3, 5), torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    seen = torch.cat([features.reshape(2, 48), features.reshape(2, 3, 16).max(2).values], 1)
    expected = [(head.seen(seen[row]) @ head.meant(text[row])).item() / 128**0.5 for row in range(2)]
    torch.testing.assert_close(head(features, text), torch.tensor(expected))


def test_scores_are_float32_whatever_the_maps() -> None:
    head = Agreement(3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.randn(2, 3, 4, 4).bfloat16(), torch.randn(2, 5)).dtype == torch.float32
