"""Generators made for painting paint what they painted before."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from limner.nn.painting_form import for_painting
from limner.nn.upsampling import DoublingConvolution
from limner.systems.attngan import build as attngan
from limner.systems.attngan.presets import attngan_debug, attngan_paper_debug
from limner.systems.gan_cls import build as gan_cls
from limner.systems.gan_cls.presets import PRESETS as GAN_CLS
from limner.systems.stackgan import build as stackgan
from limner.systems.stackgan.config import StackGanConfig
from limner.systems.stackgan.presets import debug_form, stackgan_birds, stackgan_coco, stackgan_debug


@pytest.mark.parametrize("preset", ["gan-cls-debug", "gan-cls-paper-debug"])
def test_gan_cls(preset: str) -> None:
    config = GAN_CLS[preset]()
    _check(gan_cls.build_generator(config), lambda network, *inputs: network(*inputs),
           torch.randn(2, config.gan.noise_size), torch.randn(2, config.matching.text.embedding))


@pytest.mark.parametrize("which", [stackgan_debug, stackgan_birds, stackgan_coco])
def test_stackgan(which: Callable[[], StackGanConfig]) -> None:
    config = debug_form(which())
    _check(stackgan.build_sketch_generator(config), lambda network, *inputs: network.paint(*inputs),
           torch.randn(2, 8), torch.randn(2, 4))
    _check(stackgan.build_refinement_generator(config), lambda network, *inputs: network.paint(*inputs),
           torch.rand(2, 3, 16, 16), torch.randn(2, 8))


@pytest.mark.parametrize("which", [attngan_debug, attngan_paper_debug])
def test_attngan(which: Callable[[], attngan.AttnGanConfig]) -> None:
    config = which()
    size = config.damsm.embedding
    _check(attngan.build_generator(config), lambda network, *inputs: network(*inputs).images[-1],
           torch.randn(2, config.gan.noise_size), torch.randn(2, config.gan.condition_size), torch.randn(2, size),
           torch.randn(2, size, 5), torch.zeros(2, 5, dtype=torch.bool))


def _check(generator: nn.Module, paint: Callable[..., Tensor], *inputs: Tensor) -> None:
    numbers = torch.Generator().manual_seed(0)
    for module in generator.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):  # so large that every layer is seen
            nn.init.kaiming_normal_(module.weight, generator=numbers)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):  # statistics and shifts that are not 0 and 1
            for value, least in ((module.weight, 0.5), (module.bias, 0.5), (module.running_mean, -0.5),
                                 (module.running_var, 0.5)):
                assert value is not None
                value.data.uniform_(least, least + 1, generator=numbers)
    made = for_painting(copy.deepcopy(generator))
    assert not any(isinstance(module, DoublingConvolution) for module in made.modules())
    transposed = any(isinstance(module, nn.ConvTranspose2d) for module in generator.modules())  # folded into nothing
    assert transposed or not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in made.modules())
    with torch.inference_mode():
        expected = paint(generator.eval(), *inputs)
        assert expected.std() > 1e-3
        torch.testing.assert_close(paint(made, *inputs), expected, rtol=0, atol=1e-4)
