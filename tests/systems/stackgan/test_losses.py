from __future__ import annotations

import numpy as np
import torch
from tests.systems.stackgan import official
from tests.systems.stackgan.official import close

from limner.nn.conditioning import kl_divergence
from limner.systems.stackgan.losses import Logits, discriminator_loss, generator_loss, inconsistency
from limner.systems.stackgan.networks import Discriminator


def _judged(network: Discriminator, images: torch.Tensor, told: torch.Tensor) -> tuple[torch.Tensor, Logits]:
    features = network.look(images)
    return features, Logits(network.judge(features, told), network.judge_alone(features))


def _check_gradients(kind: str, network: torch.nn.Module, golden: dict[str, np.ndarray], prefix: str, states: str
                     ) -> None:
    parameters = dict(network.named_parameters())
    found = 0
    for key, stored in golden.items():
        for what in ("grad/", "gradnorm/"):
            if key.startswith(prefix.replace("grad/", what)):
                name = key.removeprefix(prefix.replace("grad/", what))
                gradient = parameters[official.ours(kind, name, golden, states)].grad
                assert gradient is not None
                value = gradient if what == "grad/" else gradient.norm()
                close(value, stored, 1e-3 * float(np.abs(stored).max()), key)
                found += 1
    assert found > 5


def test_the_generators_gradient_through_the_discriminator_of_before() -> None:
    golden = official.arrays("stage2_step_in", "stage2_aux")
    networks = {kind: network.double() for kind, network in official.networks(golden, "pre/G/").items()}
    discriminator = official.networks(golden, "pre/D/")["discriminator"].double()
    text, noise, first, second = (torch.from_numpy(golden[f"in/{name}"]).double()
                                  for name in ("text", "noise", "eps_stage1", "eps_stage2"))
    with torch.no_grad():
        sketch, _ = networks["sketch"](text, noise, first)
    image, condition = networks["refinement"](sketch, text, second)
    loss = generator_loss(_judged(discriminator, image, condition.mean.detach())[1])
    divergence = kl_divergence(condition.mean, condition.log_variance)
    close(loss, golden["unstepped/errG"], 1e-5)
    close(divergence, golden["unstepped/kl"], 1e-5)
    (loss + 2 * divergence).backward()
    _check_gradients("refinement", networks["refinement"], golden, "unstepped/grad/G/", "pre/G/")


def test_the_loss_of_stage_one_weighs_wrong_and_fake_by_a_half() -> None:
    real, wrong, fake = torch.tensor([1.0, 2.0]), torch.tensor([0.5]), torch.tensor([-1.0, 0.0])
    parts = discriminator_loss(Logits(real), wrong, Logits(fake))
    expected = (np.mean(np.log1p(np.exp([-1.0, -2.0]))) + np.log1p(np.exp(0.5)) / 2
                + np.mean(np.log1p(np.exp([-1.0, 0.0]))) / 2)
    np.testing.assert_allclose(parts.total.item(), expected, rtol=1e-6)


def test_hinge_asks_nothing_beyond_the_margin() -> None:
    real, wrong, fake = torch.tensor([1.5, 0.5]), torch.tensor([-3.0, -torch.inf, 1.0]), torch.tensor([-1.0, 0.0])
    alone = Logits(real, torch.tensor([0.0])), Logits(fake, torch.tensor([1.0]))
    parts = discriminator_loss(Logits(real), wrong, Logits(fake), loss="hinge")
    assert (parts.real.item(), parts.fake.item()) == (0.25, 0.5)
    np.testing.assert_allclose([parts.wrong.item(), parts.total.item()], [2 / 3, 0.25 + (2 / 3 + 0.5) / 2], rtol=1e-6)
    both = discriminator_loss(alone[0], wrong, alone[1], loss="hinge")
    np.testing.assert_allclose(both.total.item(), (0.25 + 1) / 2 + (2 / 3 + 0.5 + 2) / 3, rtol=1e-6)
    assert generator_loss(alone[1], loss="hinge").item() == 0.5 - 1


def test_a_refinement_is_consistent_if_its_squares_have_the_mean_of_the_sketch() -> None:
    sketches = torch.tensor([0.5, -0.25]).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    images = sketches.repeat_interleave(2, 2).repeat_interleave(2, 3).clone()
    images[:, :, ::2] += 0.25
    images[:, :, 1::2] -= 0.25  # whatever happens within a square
    assert inconsistency(images, sketches).item() == 0
    images[0] += 0.5
    assert inconsistency(images, sketches).item() == 0.25
