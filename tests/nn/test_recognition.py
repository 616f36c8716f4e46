import torch
from torch.nn import functional

from limner.nn.conditioning import kl_divergence
from limner.nn.recognition import Recognition


def _network() -> Recognition:
    torch.manual_seed(0)
    return Recognition(image_size=16, width=4, text_size=6, noise_size=5)


def test_it_begins_near_the_standard_normal() -> None:
    images, text, noise = torch.rand(8, 3, 16, 16) * 2 - 1, torch.randn(8, 6), torch.randn(8, 5)
    found = _network()(images, text, noise)
    assert found.code.shape == found.mean.shape == found.log_variance.shape == (8, 5)
    assert kl_divergence(found.mean, found.log_variance) < 0.05
    torch.testing.assert_close(found.code, found.mean + (found.log_variance / 2).exp() * noise)


def test_it_reads_the_picture_and_the_caption() -> None:
    network, images, text, noise = _network(), torch.rand(4, 3, 16, 16), torch.randn(4, 6), torch.randn(4, 5)
    found = network(images, text, noise).mean
    assert (network(-images, text, noise).mean - found).abs().max() > 1e-3
    assert (network(images, -text, noise).mean - found).abs().max() > 1e-3


def test_it_learns_what_a_picture_says() -> None:
    """Brightness, the only thing that differs, read back from the noise by a linear layer."""
    network, readout = _network(), torch.nn.Linear(5, 1)
    optimiser = torch.optim.Adam([*network.parameters(), *readout.parameters()], 3e-3)
    numbers, errors = torch.Generator().manual_seed(1), []
    for _ in range(150):
        brightness = torch.rand(32, 1, generator=numbers) * 2 - 1
        images = brightness[:, :, None, None].expand(32, 3, 16, 16)
        found = network(images, torch.zeros(32, 6), torch.randn(32, 5, generator=numbers))
        error = functional.mse_loss(readout(found.code), brightness)
        optimiser.zero_grad()
        (error + 1e-3 * kl_divergence(found.mean, found.log_variance)).backward()
        optimiser.step()
        errors.append(error.item())
    assert sum(errors[-10:]) < 0.2 * sum(errors[:10])
