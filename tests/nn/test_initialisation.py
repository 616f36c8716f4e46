import torch
from torch import nn

from limner.nn.initialisation import initialise_gan
from limner.systems.gan_cls.networks import Discriminator


def initialised(seed):
    network = Discriminator(text_size=64, text_projection=32, width=16)
    initialise_gan(network, torch.Generator().manual_seed(seed))
    return network


def test_distributions_are_those_of_the_official_code():
    network = initialised(1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            assert not module.bias.any()
            if module.weight.numel() > 4000:
                assert abs(module.weight.mean()) < 2e-3
                assert abs(module.weight.std() - 0.02) < 1e-3
        elif isinstance(module, nn.Linear):
            bound = 64**-0.5
            assert module.weight.abs().max() <= bound
            assert abs(module.weight.std() - bound / 3**0.5) < 0.05 * bound
            assert module.bias.abs().max() <= bound
            assert module.bias.any()
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert abs(scales.mean() - 1) < 5e-3
    assert abs(scales.std() - 0.02) < 3e-3


def test_weights_depend_on_the_generator_alone():
    torch.manual_seed(5)
    first = initialised(1).state_dict()
    torch.manual_seed(6)
    second = initialised(1).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["score.weight"], initialised(2).state_dict()["score.weight"])
