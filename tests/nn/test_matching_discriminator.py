from __future__ import annotations

import pytest
import torch

from limner.matching.damsm.image_encoder import SmallRegions
from limner.nn.matching_discriminator import MatchingDiscriminator, WordMatchingDiscriminator, with_batch_variety
from limner.vision.encoders import SmallImageEncoder


def _network(side: int, **options: tuple[int, ...]) -> MatchingDiscriminator:
    torch.manual_seed(0)
    return MatchingDiscriminator(text_size=5, condition_size=4, width=2, image_size=side, **options)


def test_the_last_channel_is_the_mean_deviation_over_the_rows() -> None:
    maps = torch.zeros(2, 3, 4, 4)
    maps[0, 0], maps[1, 0] = 3.0, 1.0  # one channel of three has a deviation, of 1
    joined = with_batch_variety(maps)
    assert torch.equal(joined[:, :3], maps)
    torch.testing.assert_close(joined[:, 3], torch.full((2, 4, 4), 1 / 3))
    assert with_batch_variety(maps[:1].expand(5, -1, -1, -1))[:, 3].abs().max() == 0


def test_a_row_knows_of_its_company_how_much_it_differs_and_nothing_else() -> None:
    network, images, text = _network(16), torch.randn(4, 3, 16, 16), torch.randn(4, 5)
    assert not network.by_batch
    features = network.look(images)
    torch.testing.assert_close(network.look(images[:1]), features[:1])
    together, alike = network.judge(features, text), network.judge(features[:1].repeat(4, 1, 1, 1), text)
    assert abs(together[0] - alike[0]) > 1e-4
    with torch.no_grad():
        network.joint.weight[:, features.shape[1]] = 0  # the channel that tells it
    torch.testing.assert_close(network.judge(features, text)[:1], network.judge(features[:1], text[:1]))


def test_the_agreement_of_picture_and_whitened_caption_is_added_to_the_score() -> None:
    network, text = _network(16), torch.randn(4, 5)
    network.whitened.fit(torch.randn(50, 5))
    features = network.look(torch.randn(4, 3, 16, 16))
    judged = network.judge(features, text)
    agreement = network.agreement(features, network.whitened(text))
    torch.nn.init.zeros_(network.agreement.meant.weight)
    torch.nn.init.zeros_(network.agreement.meant.bias)
    torch.testing.assert_close(judged, network.judge(features, text) + agreement)


def test_many_captions_for_every_picture_are_judged_as_one_by_one() -> None:
    network, text = _network(32), torch.randn(6, 5)
    features = network.look(torch.randn(2, 3, 32, 32))
    with torch.no_grad():
        network.joint.weight[:, features.shape[1]] = 0
    alone = [network.judge(features[row % 2][None], text[row][None]) for row in range(6)]
    torch.testing.assert_close(network.judge(features, text), torch.cat(alone))


@pytest.mark.parametrize(("side", "taken"), [(8, 0), (16, 1), (32, 2), (64, 3), (128, 3)])
@pytest.mark.parametrize("lender", [SmallRegions(8, image_size=64, width=2),
                                    SmallImageEncoder(image_size=64, width=2, embedding=8)])
def test_maps_are_lent_to_all_sides_as_far_as_they_fit(lender: SmallRegions | SmallImageEncoder, side: int, taken: int
                                                       ) -> None:
    """All but the first layer take them, and none that is larger than what the lender has."""
    images, text = torch.randn(2, 3, side, side), torch.randn(2, 5)
    maps, channels = lender.maps(torch.randn(2, 3, 64, 64))[-3:], lender.map_channels[-3:]
    assert [each.shape[-1] for each in maps] == [16, 8, 4]
    network = _network(side, lent=tuple(channels))
    assert len(network.laterals) == taken
    features = network.look(images, maps)
    assert features.shape[2:] == (4, 4)
    assert network.judge(features, text).shape == (2,)
    unseen = network.look(images, [torch.zeros_like(each) for each in maps])
    assert torch.equal(features, unseen) == (taken == 0)
    if taken:
        with pytest.raises(ValueError, match="zip"):
            network.look(images)


def test_it_has_no_score_of_pictures_alone() -> None:
    assert _network(16).judge_alone(torch.randn(2, 4, 4, 4)) is None


def test_words_are_judged_by_the_regions_and_the_sentence_as_without_them() -> None:
    plain = _network(32)
    network = WordMatchingDiscriminator(word_size=6, word_heads=2, text_size=5, condition_size=4, width=2,
                                        image_size=32)
    network.load_state_dict(plain.state_dict(), strict=False)
    images, text, words = torch.randn(2, 3, 32, 32), torch.randn(4, 5), torch.randn(4, 6, 3)
    padding = torch.zeros(4, 3, dtype=torch.bool)
    features = network.look(images)
    torch.testing.assert_close(network.judge(features, text), plain.judge(plain.look(images), text))
    regions = plain._maps(images, ())[-2]
    assert regions.shape == (2, 4, 8, 8)
    torch.testing.assert_close(network.judge_words(features, words, padding),
                               network.word_agreement(regions, words, padding))
