"""One iteration of the official training, from the losses to the running statistics."""

import numpy as np
import pytest
import torch
from tests.systems.gan_cls import official

from limner.nn.initialisation import convolution_biases, hold_convolution_biases_at_zero
from limner.nn.optimisers import Torch7Adam
from limner.systems.gan_cls.losses import discriminator_loss, generator_loss, interpolate_text, probabilities

LR = 2e-4


def convolution_biases_by_name(network):
    biases = {id(bias) for bias in convolution_biases(network)}
    return {name: p for name, p in network.named_parameters() if id(p) in biases}


def close(ours, reference, label, *, rtol=1e-9, atol=1e-12):
    ours = ours.detach().numpy() if isinstance(ours, torch.Tensor) else np.asarray(ours)
    np.testing.assert_allclose(ours.reshape(reference.shape), reference, rtol=rtol, atol=atol, err_msg=label)


class Iteration:
    """One D step and one G step on the reference inputs; keeps what the reference vectors name."""

    def __init__(self, name: str, *, hold_biases: bool) -> None:
        golden = self.golden = official.arrays(name)
        self.interpolates = name == "int_cls_step"
        self.generator, self.discriminator = official.networks("int" if self.interpolates else "cls")
        official.load(self.generator, official.state(golden, "G0/"))
        official.load(self.discriminator, official.state(golden, "D0/"))
        if hold_biases:
            hold_convolution_biases_at_zero(self.generator)
            hold_convolution_biases_at_zero(self.discriminator)
        hyper = {key.removeprefix("hyper/"): float(value) for key, value in golden.items() if key.startswith("hyper/")}
        self.hyper = hyper
        settings = {"lr": hyper["lr"], "betas": (hyper["beta1"], hyper["beta2"]), "eps": hyper["eps"]}
        self.d_adam = Torch7Adam([p for p in self.discriminator.parameters() if p.requires_grad], **settings)
        self.g_adam = Torch7Adam([p for p in self.generator.parameters() if p.requires_grad], **settings)
        self.out: dict[str, torch.Tensor] = {}

    def value(self, key):
        return torch.from_numpy(self.golden[f"in/{key}"]).double()

    def discriminator_step(self):
        text = self.value("txt")
        with torch.no_grad():
            fake = self.generator(self.value("noise_d").flatten(1), text)
        logits = {
            "real": self.discriminator(self.value("real"), text),
            "wrong": self.discriminator(self.value("wrong"), text),
        }
        logits["fake"] = self.discriminator(fake, text)
        loss = discriminator_loss(**logits, cls_weight=self.hyper["cls_weight"])
        loss.total.backward()
        self.out |= {f"p_{key}": probabilities(value) for key, value in logits.items()} | {
            "fake_d": fake,
            "bce_real": loss.real,
            "bce_wrong_unweighted": loss.wrong,
            "bce_fake_unweighted": loss.fake,
            "errD": loss.total,
            "errW_weighted": self.hyper["cls_weight"] * loss.wrong,
        }
        self.d_grad = {name: p.grad.clone() for name, p in self.discriminator.named_parameters() if p.grad is not None}
        self.d_adam.step()

    def generator_step(self):
        text = self.value("txt")
        condition = interpolate_text(text) if self.interpolates else text
        close(condition, self.golden["in/txt_g"], "in/txt_g")
        fake = self.generator(self.value("noise_g").flatten(1), condition)
        logits = self.discriminator(fake, condition)
        weight = self.hyper["interp_weight"] if self.interpolates else 0.0
        loss = generator_loss(logits, rows=len(text), interp_weight=weight)
        loss.backward()
        self.out |= {"fake_g": fake, "p_g": probabilities(logits), "errG": loss}
        for other in (0.0, 0.5):
            self.out[f"errG_interp_weight_{other}"] = generator_loss(logits, rows=len(text), interp_weight=other)
        self.g_grad = {name: p.grad.clone() for name, p in self.generator.named_parameters() if p.grad is not None}
        self.g_adam.step()


def check_outputs(run: Iteration):
    for key, stored in run.golden.items():
        if key.startswith("out/"):
            tolerance = 1e-7 if stored.dtype == np.float32 else 1e-12
            close(run.out[key.removeprefix("out/")], stored, key, rtol=tolerance, atol=tolerance)


def check_running_statistics(run: Iteration):
    for prefix, network in (("G_running_end/", run.generator), ("D_running_end/", run.discriminator)):
        buffers = dict(network.named_buffers())
        reference = {key.removeprefix(prefix): value for key, value in run.golden.items() if key.startswith(prefix)}
        assert reference
        for key, stored in reference.items():
            layer, kind = official.our_name(key).rsplit(".", 1)
            close(buffers[f"{layer}.running_{kind}"], stored, key, rtol=1e-10)


def check_parameters(run: Iteration, prefix: str, network, *, skip=frozenset()):
    """After Adam. The rounding of a gradient of 1e-9 or less can move a parameter by a good part of the step."""
    gradients = official.state(run.golden, "gradD/" if prefix == "D1/" else "gradG/")
    ours = dict(network.named_parameters())
    for name, stored in official.state(run.golden, prefix).items():
        if name not in skip:
            # Stored in float32: relative rounding 6e-8.
            sure = gradients[name].abs() > 1e-9
            close(ours[name][sure], stored[sure].numpy(), prefix + name, rtol=1e-7, atol=1e-9)
            assert ((ours[name] - stored).abs() <= 2 * LR + 1e-9).all()


@pytest.mark.parametrize("name", ["int_cls_step", "cls_step"])
def test_iteration_with_the_biases_set_to_zero_before_every_step_as_the_authors_do(name):
    run = Iteration(name, hold_biases=False)
    biases = {
        n: p
        for n, p in run.discriminator.named_parameters()
        if any(p is b for b in convolution_biases(run.discriminator))
    }
    run.discriminator_step()
    for key, stored in official.state(run.golden, "gradD/").items():
        close(run.d_grad[key], stored.numpy(), f"gradD {key}", rtol=1e-6, atol=1e-8)
    before = official.state(run.golden, "D_bias_after_adam_before_zeroing/")
    assert set(before) == set(biases)
    for key, stored in before.items():
        sure = run.d_grad[key].abs() > 1e-9
        close(biases[key][sure], stored[sure].numpy(), f"bias {key}", rtol=1e-9)
    with torch.no_grad():
        for bias in biases.values():
            bias.zero_()
    check_parameters(run, "D1/", run.discriminator)
    run.d_adam.zero_grad()
    run.generator_step()
    for key, stored in official.state(run.golden, "gradG/").items():
        close(run.g_grad[key], stored.numpy(), f"gradG {key}", rtol=1e-6, atol=1e-8)
    check_outputs(run)
    check_parameters(run, "G1/", run.generator)
    check_running_statistics(run)


@pytest.mark.parametrize("name", ["int_cls_step", "cls_step"])
def test_biases_held_at_zero_give_the_same_iteration(name):
    run = Iteration(name, hold_biases=True)
    run.discriminator_step()
    run.generator_step()
    check_outputs(run)
    check_parameters(run, "D1/", run.discriminator)
    # The stored G still carries the bias of its last update, which the next update would have set to zero.
    check_parameters(run, "G1/", run.generator, skip=convolution_biases_by_name(run.generator))
    check_running_statistics(run)
    for network in (run.generator, run.discriminator):
        assert all(not b.any() for b in convolution_biases(network))
