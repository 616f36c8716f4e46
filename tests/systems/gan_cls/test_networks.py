import numpy as np
import pytest
import torch
from tests.systems.gan_cls import official

from limner.systems.gan_cls.networks import Discriminator, Generator, StyleEncoder

# Weights, inputs and images are stored in float32, probabilities and running statistics in float64.
STORED = 1e-7  # absolute; a float32 image in [-1, 1] is rounded by up to 3e-8
TIGHT = 1e-12
FORWARD = [
    name for name in ("forward_int", "forward_cls", "forward_cls_large") if (official.GOLDEN / f"{name}.npz").exists()
]


def test_both_scripts_are_covered():
    assert {"forward_int", "forward_cls"} <= set(FORWARD)


def record_activations(network, into):
    """Store a copy of what every layer gives, under its official name."""
    hooks = []
    for name, module in network.named_modules():
        if name and not any(module.children()):
            key = name.replace(".", "_")
            hooks.append(module.register_forward_hook(lambda _m, _i, out, key=key: into.update({key: out.clone()})))
    return hooks


def compare(ours, reference, label, tolerance):
    ours = ours.detach().numpy()
    assert ours.shape == reference.shape, label
    assert np.isfinite(reference).all(), label
    np.testing.assert_allclose(ours, reference, rtol=tolerance, atol=tolerance, err_msg=label)


@pytest.mark.parametrize("name", FORWARD)
def test_forward_pass_equals_the_official_networks(name):
    golden = official.arrays(name)
    generator, discriminator = official.networks("int" if "int" in name else "cls", large="large" in name)
    official.load(generator, official.state(golden, "G/"))
    official.load(discriminator, official.state(golden, "D/"))
    noise, text, image = (torch.from_numpy(golden[f"in/{key}"]).double() for key in ("noise", "txt", "img"))
    unused = {key for key in golden if "act_" in key or "out_" in key or key.startswith("running")}
    for mode in ("eval", "train"):
        for network in (generator, discriminator):
            network.train(mode == "train")
        seen: dict[str, dict[str, torch.Tensor]] = {"G": {}, "D": {}}
        hooks = record_activations(generator, seen["G"]) + record_activations(discriminator, seen["D"])
        outputs = {"G": generator(noise.flatten(1), text), "D": discriminator(image, text).sigmoid()[:, None]}
        for hook in hooks:
            hook.remove()
        for net, output in outputs.items():
            stored = golden[f"{net}/out_{mode}"]
            compare(output, stored, f"{net}/out_{mode}", STORED if stored.dtype == np.float32 else TIGHT)
            unused.discard(f"{net}/out_{mode}")
            for key in [key for key in unused if key.startswith(f"{net}/act_{mode}/")]:
                stored = golden[key]
                compare(seen[net][key.rpartition("/")[2]], stored, key, STORED if stored.dtype == np.float32 else TIGHT)
                unused.discard(key)
    for prefix, network in (("running_after_train/D_", discriminator), ("running_after_train/", generator)):
        buffers = dict(network.named_buffers())
        for key in [key for key in unused if key.startswith(prefix)]:
            layer, kind = official.our_name(key.removeprefix(prefix)).rsplit(".", 1)
            compare(buffers[f"{layer}.running_{kind}"], golden[key], key, TIGHT)
            unused.discard(key)
    assert not unused


@pytest.mark.parametrize("name", FORWARD)
def test_forward_pass_in_float32(name):
    golden = official.arrays(name)
    generator, discriminator = official.networks("int" if "int" in name else "cls", large="large" in name)
    official.load(generator, official.state(golden, "G/"))
    official.load(discriminator, official.state(golden, "D/"))
    noise, text, image = (torch.from_numpy(golden[f"in/{key}"]).float() for key in ("noise", "txt", "img"))
    for mode in ("eval", "train"):
        painted = generator.float().train(mode == "train")(noise.flatten(1), text)
        judged = discriminator.float().train(mode == "train")(image, text).sigmoid()[:, None]
        compare(painted, golden[f"G/out_{mode}"], mode, 5e-6)
        compare(judged, golden[f"D/out_{mode}"], mode, 5e-6)


def learnable(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("run", "variant", "width", "projection", "large"),
    [
        ("int_cub_flowers", "int", (128, 64), 128, False),
        ("cls_coco_script", "cls", (196, 196), 128, False),
        ("cls_defaults", "cls", (128, 64), 256, False),
        ("cls_defaults_large", "cls", (128, 64), 256, True),
    ],
)
def test_parameter_counts_of_the_official_sizes(run, variant, width, projection, large):
    counts = official.counts()[run]
    with torch.device("meta"):
        generator = Generator(width=width[0], text_projection=projection, large=large)
        discriminator = Discriminator(width=width[1], text_projection=projection, **official.SWITCHES[variant])
    assert {"G": learnable(generator), "D": learnable(discriminator)} == counts


def test_large_generator_has_no_activation_between_its_bottlenecks():
    generator = Generator(noise_size=2, text_size=3, text_projection=2, width=2, large=True).eval()
    plain = Generator(noise_size=2, text_size=3, text_projection=2, width=2).eval()
    for block in (generator.res4b, generator.res8b):
        torch.nn.init.zeros_(block.bn3.weight)  # the second block adds nothing, so both generators are the same
    plain.load_state_dict(generator.state_dict(), strict=False)
    noise, text = torch.randn(3, 2), torch.randn(3, 3)
    assert torch.equal(generator(noise, text), plain(noise, text))


def test_discriminator_without_residual_is_the_one_whose_branch_adds_nothing():
    with_branch = Discriminator(text_size=3, text_projection=2, width=2).eval()
    torch.nn.init.zeros_(with_branch.res4.bn3.weight)
    without = Discriminator(text_size=3, text_projection=2, width=2, residual=False).eval()
    without.load_state_dict({k: v for k, v in with_branch.state_dict().items() if not k.startswith("res4.")})
    image, text = torch.randn(2, 3, 64, 64), torch.randn(2, 3)
    assert torch.equal(with_branch(image, text), without(image, text))


def test_networks_take_channels_last():
    generator, discriminator = official.networks("int")
    official.load(generator, official.state(official.arrays("forward_int"), "G/"))
    noise, text = torch.randn(4, 5).double(), torch.randn(4, 10).double()
    plain = generator(noise, text)
    judged = discriminator(plain, text)
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)
    again = generator(noise, text)
    torch.testing.assert_close(again, plain, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(discriminator(again, text), judged, rtol=1e-9, atol=1e-9)


def test_style_encoder_maps_images_to_noise_and_can_learn_a_generator():
    torch.manual_seed(0)
    generator = Generator(noise_size=2, text_size=3, text_projection=2, width=4).requires_grad_(False)
    encoder = StyleEncoder(noise_size=2, width=8)
    optimiser = torch.optim.Adam(encoder.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        noise = torch.randn(16, 2)
        predicted = encoder(generator(noise, torch.randn(16, 3)))
        assert predicted.shape == noise.shape
        loss = (predicted - noise).square().sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:8])
