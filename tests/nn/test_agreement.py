from __future__ import annotations

import torch
from torch import Tensor

from limner.nn.agreement import Agreement, WordAgreement


def test_agreement_is_a_dot_product_over_every_place_and_the_largest_values() -> None:
    head, features, text = Agreement(3, 5), torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    seen = torch.cat([features.reshape(2, 48), features.reshape(2, 3, 16).max(2).values], 1)
    expected = [(head.seen(seen[row]) @ head.meant(text[row])).item() / 128**0.5 for row in range(2)]
    torch.testing.assert_close(head(features, text), torch.tensor(expected))


def test_scores_are_float32_whatever_the_maps() -> None:
    head = Agreement(3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.randn(2, 3, 4, 4).bfloat16(), torch.randn(2, 5)).dtype == torch.float32


def _told(captions: int) -> tuple[WordAgreement, Tensor, Tensor, Tensor]:
    """Regions of two pictures, and captions of three words, the last of every second one missing."""
    torch.manual_seed(0)
    padding = torch.tensor([[False, False, row % 2 == 1] for row in range(captions)])
    return WordAgreement(3, 5, heads=2), torch.randn(2, 3, 4, 4), torch.randn(captions, 5, 3), padding


def test_a_word_finds_what_it_asks_for_and_is_compared_with_what_it_means() -> None:
    head, regions, words, padding = _told(2)
    expected = []
    for row in range(2):
        keys, values = head.seen(regions[row][None])[0].flatten(1).T.chunk(2, 1)
        scores = []
        for word in words[row].T[~padding[row]]:
            asked, meant = head.told((word - word.mean()) / (word.var(unbiased=False) + 1e-5).sqrt()).chunk(2)
            for part in (slice(0, 32), slice(32, 64)):
                shares = (keys[:, part] @ asked[part] / 32**0.5).softmax(0)
                scores.append((shares @ values[:, part]) @ meant[part] / 32**0.5)
        expected.append(2 * torch.stack(scores).mean())
    torch.testing.assert_close(head(regions, words, padding), torch.stack(expected))


def test_it_does_not_matter_where_a_region_is_nor_what_stands_behind_a_caption() -> None:
    head, regions, words, padding = _told(2)
    judged = head(regions, words, padding)
    moved = regions.flatten(2)[:, :, torch.randperm(16)].unflatten(2, (4, 4))
    torch.testing.assert_close(head(moved, words, padding), judged)
    torch.testing.assert_close(head(regions, words.masked_fill(padding[:, None], 7.0), padding), judged)


def test_many_captions_for_every_picture_are_judged_as_one_by_one() -> None:
    head, regions, words, padding = _told(6)
    alone = [head(regions[row % 2][None], words[row][None], padding[row][None]) for row in range(6)]
    torch.testing.assert_close(head(regions, words, padding), torch.cat(alone))
