from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from limner.nn.blocks import with_batch_variety
from limner.systems.attngan.networks import Discriminator as AttnGanDiscriminator
from limner.systems.stackgan.build import build_discriminator
from limner.systems.stackgan.presets import stackgan_debug


def test_the_last_channel_is_the_mean_deviation_over_the_rows() -> None:
    maps = torch.zeros(2, 3, 4, 4)
    maps[0, 0], maps[1, 0] = 3.0, 1.0  # one channel of three has a deviation, of 1
    joined = with_batch_variety(maps)
    assert torch.equal(joined[:, :3], maps)
    torch.testing.assert_close(joined[:, 3], torch.full((2, 4, 4), 1 / 3))
    assert with_batch_variety(maps[:1].expand(5, -1, -1, -1))[:, 3].abs().max() == 0


@pytest.mark.parametrize("system", ["stackgan", "attngan"])
@pytest.mark.parametrize("told", [False, True])
def test_a_discriminator_that_is_told_judges_a_row_by_its_company(system: str, told: bool) -> None:
    if system == "stackgan":
        config = stackgan_debug()
        config = replace(config, networks=replace(config.networks, batch_variety=told))
        network = build_discriminator(config, "sketch", lent=())
        size = config.text_size
    else:
        network, size = AttnGanDiscriminator(side=16, text_size=16, width=4, norm="layer", batch_variety=told), 16
    generator = torch.Generator().manual_seed(0)
    features = network.look(torch.randn(4, 3, 16, 16, generator=generator))
    text = torch.randn(4, size, generator=generator)
    with torch.inference_mode():
        together, alike = network.judge(features, text), network.judge(features[:1].repeat(4, 1, 1, 1), text)
    assert (abs(together[0] - alike[0]) > 1e-4) == told
