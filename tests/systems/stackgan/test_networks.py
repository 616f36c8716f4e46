from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.systems.stackgan import official
from tests.systems.stackgan.official import close

from limner.nn.conditioning import ConditioningAugmentation, kl_divergence, truncated_normal
from limner.systems.stackgan.networks import Discriminator, RefinementGenerator, SketchGenerator


def _inputs(golden: dict[str, np.ndarray], *names: str) -> list[torch.Tensor]:
    return [torch.from_numpy(golden[f"in/{name}"]) for name in names]


def _tapped(module: torch.nn.Module, taps: dict[str, str]) -> dict[str, torch.Tensor]:
    seen: dict[str, torch.Tensor] = {}
    for name, tap in taps.items():
        module.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, tap=tap: seen.__setitem__(tap, output))
    return seen


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_sketch_is_that_of_the_official_network(mode: str) -> None:
    golden = official.arrays("stage1_G")
    found = official.networks(golden, "state/")
    network: SketchGenerator = found["sketch"].train(mode == "train")
    seen = _tapped(network, {"start_norm": "tap_fc", "ups.0": "tap_upsample1"})
    image, condition = network(*_inputs(golden, "text", "noise", "eps"))
    close(image, golden[f"{mode}/fake_img"], 1e-5)
    close(condition.mean, golden[f"{mode}/mu"], 1e-5)
    close(condition.log_variance, golden[f"{mode}/logvar"], 1e-5)
    close(seen["tap_fc"].relu(), golden[f"{mode}/tap_fc"], 1e-5)
    close(seen["tap_upsample1"], golden[f"{mode}/tap_upsample1"], 1e-5)
    if mode == "train":
        assert official.check_state(found, golden, "train/post/", "state/", weights=0) > 10


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_refinement_is_that_of_the_official_network(mode: str) -> None:
    golden = official.arrays("stage2_G")
    found = official.networks(golden, "state/")
    sketch, refinement = (found[name].train(mode == "train") for name in ("sketch", "refinement"))
    assert len(refinement.blocks) == 4
    seen = _tapped(refinement, {"encode3_norm": "encoder", "joint_norm": "hr_joint", "blocks.3": "residual"})
    text, noise, first, second = _inputs(golden, "text", "noise", "eps_stage1", "eps_stage2")
    drawn, _ = sketch(text, noise, first)
    image, condition = refinement(drawn, text, second)
    close(condition.mean, golden[f"{mode}/mu"], 1e-5)
    close(condition.log_variance, golden[f"{mode}/logvar"], 1e-5)
    close(image[:, :, ::4, ::4], golden[f"{mode}/fake_img_sub4"], 2e-4)
    for tap in ("encoder", "hr_joint", "residual"):
        close(seen[tap].relu()[:, :, ::2, ::2], golden[f"{mode}/tap_{tap}_sub"], 2e-4)
    if mode == "train":
        assert official.check_state(found, golden, "train/post/", "state/", weights=0) > 20


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_discriminator_is_the_official_one(mode: str) -> None:
    golden = official.arrays("stage1_D")
    found = official.networks(golden, "state/")
    network: Discriminator = found["discriminator"].train(mode == "train")
    features = network.look(official.normalised(golden["in/img_u8"]))
    logits = network.judge(features, torch.from_numpy(golden["in/cond"]))
    close(features, golden[f"{mode}/features"], 1e-4)
    close(logits, golden[f"{mode}/cond_logit"], 1e-4)
    close(logits.sigmoid(), golden[f"{mode}/cond_prob"], 1e-5)
    assert network.judge_alone(features) is None
    if mode == "train":
        assert official.check_state(found, golden, "train/post/", "state/", weights=0) > 5


def _augmentation(golden: dict[str, np.ndarray], **settings: Any) -> ConditioningAugmentation:
    network = ConditioningAugmentation(32, 16, **settings)
    network.linear.load_state_dict({name: torch.from_numpy(golden[f"state/fc.{name}"]) for name in ("weight", "bias")})
    return network


def test_conditioning_augmentation_and_its_gradients() -> None:
    golden = official.arrays("ca_net")
    text, eps, probe = _inputs(golden, "text", "eps", "probe")
    for gradient in ("grad_kl", "grad_probe"):
        network = _augmentation(golden)
        code, mean, log_variance = network(text, eps)
        close(code, golden["out/c_code"], 1e-5)
        close(mean, golden["out/mu"], 1e-5)
        close(log_variance, golden["out/logvar"], 1e-5)
        divergence = kl_divergence(mean, log_variance)
        close(divergence, golden["out/kl"], 1e-6)
        (divergence if gradient == "grad_kl" else (code * probe).sum()).backward()
        for name, parameter in network.linear.named_parameters():
            assert parameter.grad is not None
            stored = golden[f"{gradient}/fc.{name}"]
            close(parameter.grad, stored, 1e-5 * float(np.abs(stored).max()))
    signed = kl_divergence(*_inputs(golden, "mu_signed", "logvar_signed"))
    close(signed, golden["out/kl_signed"], 1e-6)
    close(signed, golden["formula_tf/kl_with_log_sigma_half_logvar"], 1e-6)


def test_the_two_parametrisations_of_the_deviation_are_one_when_its_rows_are_doubled() -> None:
    golden = official.arrays("ca_net")
    text, eps = _inputs(golden, "text", "eps")
    tensorflow = _augmentation(golden, activation="leaky-relu", deviation="log-deviation")
    pytorch = _augmentation(golden, activation="leaky-relu")
    with torch.no_grad():
        pytorch.linear.weight[16:] *= 2
        pytorch.linear.bias[16:] *= 2
    for first, second in zip(tensorflow(text, eps), pytorch(text, eps), strict=True):
        torch.testing.assert_close(first, second)
    code, mean, log_variance = tensorflow(text, None)
    assert torch.equal(code, mean)
    assert (mean < 0).any()
    assert (log_variance < 0).any()


def test_glu_takes_four_outputs_a_component() -> None:
    network = ConditioningAugmentation(32, 16, activation="glu")
    text = torch.randn(4, 32)
    first, gate = network.linear(text).chunk(2, dim=1)
    _, mean, log_variance = network(text, torch.zeros(4, 16))
    torch.testing.assert_close(torch.cat([mean, log_variance], 1), first * gate.sigmoid())


def test_truncated_noise_stays_within_two_deviations_and_keeps_its_order() -> None:
    noise = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    cut = truncated_normal(noise)
    assert cut.abs().max() <= 2
    assert torch.equal(cut.argsort()[::1000], noise.argsort()[::1000])
    # variance of the standard normal distribution cut at 2: 1 - 4 phi(2) / (2 Phi(2) - 1)
    assert float(cut.var()) == pytest.approx(0.7737, abs=0.01)


def test_parameter_counts_are_the_official_ones() -> None:
    with torch.device("meta"):
        found = {
            "sketch": SketchGenerator(), "refinement": RefinementGenerator(),
            "sketch coco": SketchGenerator(width=192), "refinement coco": RefinementGenerator(width=192,
                                                                                             residual_blocks=2),
            "D0": Discriminator(image_size=64), "D": Discriminator(image_size=256, unconditional=True),
            "D0 coco": Discriminator(image_size=64, width=96),
            "D coco": Discriminator(image_size=256, width=96, unconditional=True),
        }
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in found.items()}
    assert counts == {"sketch": 10_301_248, "refinement": 26_290_080, "sketch coco": 20_020_832,
                      "refinement coco": 37_130_480, "D0": 5_715_713, "D": 71_269_122, "D0 coco": 12_407_425,
                      "D coco": 159_889_538}
