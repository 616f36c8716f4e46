import contextlib

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interop import official_modules
from tests.interop.torch7_writer import Object, write_torch7
from tests.systems.gan_cls import official

from limner.errors import LimnerError
from limner.interop.gan_cls import import_gan_cls
from limner.systems.gan_cls.networks import Discriminator, Generator

VERSIONS = {
    "current": {},
    "cudnn": {"package": "cudnn"},
    "matrices": {"matrices": True},
    "before May 2016": {"running_std": True},
}
GOLDENS = [
    name for name in ("forward_int", "forward_cls", "forward_cls_large") if (official.GOLDEN / f"{name}.npz").exists()
]


def weights(golden, net):
    return {key.removeprefix(f"{net}/"): value for key, value in golden.items() if key.startswith(f"{net}/")}


def random_weights(network):
    torch.manual_seed(0)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            torch.nn.init.uniform_(buffer, 0.5, 1.5)
    names = {name: name.replace(".c", "_c").replace(".bn", "_bn") for name in network.state_dict()}
    return {names[name]: value.numpy() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", GOLDENS)
def test_checkpoints_paint_and_judge_as_the_official_networks(tmp_path, name, version):
    golden = official.arrays(name)
    switches = official.SWITCHES["int" if "int" in name else "cls"]
    trees = {net: official_modules.Tree(weights(golden, net), **VERSIONS[version]) for net in "GD"}
    networks = {
        "G": official_modules.generator(trees["G"], large="large" in name),
        "D": official_modules.discriminator(trees["D"], **switches),
    }
    imported = {net: import_gan_cls(write_torch7(tmp_path / f"{net}.t7", tree)) for net, tree in networks.items()}
    assert imported["G"].kind == "generator"
    assert imported["G"].settings == {**official.SMALL, "noise_size": 5, "large": "large" in name}
    assert imported["D"].settings == {**official.SMALL, **switches, "residual": True}
    noise, text, image = (torch.from_numpy(golden[f"in/{key}"]).double() for key in ("noise", "txt", "img"))
    painted = imported["G"].build().double().eval()(noise.flatten(1), text)
    judged = imported["D"].build().double().eval()(image, text).sigmoid()[:, None]
    # running_std is stored in float32, which moves the variance by 1e-7 of itself.
    tolerance = 3e-6 if version == "before May 2016" else 1e-7
    np.testing.assert_allclose(painted.detach(), golden["G/out_eval"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(judged.detach(), golden["D/out_eval"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("large", [False, True])
def test_both_generators_come_back_exactly(tmp_path, large):
    network = Generator(noise_size=3, text_size=7, text_projection=4, width=2, large=large)
    tree = official_modules.generator(official_modules.Tree(random_weights(network)), large=large)
    imported = import_gan_cls(write_torch7(tmp_path / "G.t7", tree))
    assert imported.settings == {"noise_size": 3, "text_size": 7, "text_projection": 4, "width": 2, "large": large}
    assert list(imported.state) == list(network.state_dict())
    assert all(torch.equal(imported.state[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("activate_conv2", [False, True])
@pytest.mark.parametrize("text_batch_norm", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_every_discriminator_comes_back_exactly(tmp_path, activate_conv2, text_batch_norm, residual):
    switches = {"activate_conv2": activate_conv2, "text_batch_norm": text_batch_norm, "residual": residual}
    network = Discriminator(text_size=7, text_projection=4, width=2, **switches)
    tree = official_modules.discriminator(official_modules.Tree(random_weights(network)), **switches)
    imported = import_gan_cls(write_torch7(tmp_path / "D.t7", tree))
    assert imported.settings == {"text_size": 7, "text_projection": 4, "width": 2, **switches}
    assert all(torch.equal(imported.state[key], value) for key, value in network.state_dict().items())


def small_generator(**changes):
    network = Generator(noise_size=3, text_size=7, text_projection=4, width=2)
    return random_weights(network) | changes


def every(tree, class_name):
    """All modules of a class below a written tree."""
    found = [tree] if tree.class_name.endswith(class_name) else []
    return found + [leaf for child in tree.fields.get("modules", []) for leaf in every(child, class_name)]


def spoil(change):
    tree = official_modules.generator(official_modules.Tree(small_generator()))
    change(tree)
    return tree


def cyclic(tree):
    tree.fields["modules"].append(tree)


WRONG = {
    "a table": ({"netG": 1}, "holds a LuaTable and not a Torch7 network"),
    "a network in itself": (spoil(cyclic), "contains itself"),
    "an unknown layer": (spoil(lambda t: t.fields["modules"].append(Object("nn.Foo"))), r"does not have: nn\.Foo"),
    "a layer more": (
        spoil(lambda t: t.fields["modules"].append(every(t, "Linear")[0])),
        "2 linear.*stand in another order",
    ),
    "no layer": (Object("nn.Sequential", modules=[Object("nn.Tanh")]), "no layer with weights"),
    "another stride": (spoil(lambda t: every(t, "FullConvolution")[1].fields.update(dW=1)), "up1 has dW = 1"),
    "another epsilon": (
        spoil(lambda t: every(t, "Normalization")[0].fields.update(eps=1e-3)),
        "up0_bn has eps = 0.001",
    ),
    "another slope": (spoil(lambda t: every(t, "LeakyReLU")[0].fields.update(negval=0.1)), "slopes {0.1}"),
    "a weight missing": (spoil(lambda t: every(t, "Linear")[0].fields.pop("weight")), "has no tensor 'weight'"),
    "a running mean missing": (
        spoil(lambda t: every(t, "Normalization")[2].fields.pop("running_mean")),
        "has no tensor 'running_mean'",
    ),
    "a weight that is not finite": (
        spoil(lambda t: every(t, "Linear")[0].fields.update(weight=np.full((4, 7), np.nan, "f4"))),
        "not finite",
    ),
    "a weight of whole numbers": (
        spoil(lambda t: every(t, "Linear")[0].fields.update(weight=np.ones((4, 7), "i4"))),
        "has no tensor 'weight'",
    ),
    "a weight of another shape": (
        spoil(lambda t: every(t, "FullConvolution")[2].fields.update(weight=np.ones((5, 4, 4, 4), "f4"))),
        r"up2.weight has the shape \(5, 4, 4, 4\); the other layers ask for \(8, 4, 4, 4\)",
    ),
    "a weight of other dimensions": (
        spoil(lambda t: every(t, "FullConvolution")[2].fields.update(weight=np.ones((5, 4), "f4"))),
        r"shape \(5, 4\)",
    ),
    "a running_std of zero": (
        spoil(lambda t: every(t, "Normalization")[0].fields.update(running_std=np.zeros(16, "f4"))),
        "not positive",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_networks_are_refused_with_the_reason(tmp_path, case):
    tree, reason = WRONG[case]
    with pytest.raises(LimnerError, match=reason):
        import_gan_cls(write_torch7(tmp_path / "G.t7", tree))


def test_convolutions_saved_without_bias_get_zeros(tmp_path):
    tree = spoil(lambda t: every(t, "FullConvolution")[1].fields.pop("bias"))
    assert not import_gan_cls(write_torch7(tmp_path / "G.t7", tree)).state["up1.bias"].any()


@settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_strange_fields_end_in_weights_or_in_our_error(tmp_path, data):
    tree = official_modules.generator(official_modules.Tree(small_generator()))
    for _ in range(data.draw(st.integers(1, 2))):
        official_modules.replace_a_field(tree, data)
    with contextlib.suppress(LimnerError):
        import_gan_cls(write_torch7(tmp_path / "strange.t7", tree))
