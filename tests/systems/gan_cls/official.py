"""Reading the reference vectors of the official GAN-CLS code into our networks."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from limner.systems.gan_cls.networks import Discriminator, Generator

GOLDEN = Path(__file__).parents[2] / "golden" / "gan_cls"
SMALL = {"text_size": 10, "text_projection": 6, "width": 4}
SWITCHES = {  # of the discriminators in the two official scripts
    "int": {"activate_conv2": False, "text_batch_norm": True},
    "cls": {"activate_conv2": True, "text_batch_norm": False},
}


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def counts() -> dict[str, dict[str, int]]:
    return json.loads((GOLDEN / "param_counts.json").read_text())


def our_name(official: str) -> str:
    """``res4b_bn1.weight`` -> ``res4b.bn1.weight``; every other name is the same."""
    return re.sub(r"^(res\d+b?)_", r"\1.", official)


def state(golden: Mapping[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    """Parameters (and buffers) below ``prefix`` under our names, float64."""
    found = {
        our_name(key.removeprefix(prefix)): torch.from_numpy(value.astype(np.float64))
        for key, value in golden.items()
        if key.startswith(prefix) and re.search(r"\.(weight|bias|running_mean|running_var)$", key)
    }
    assert found
    return found


def load(network: torch.nn.Module, values: Mapping[str, torch.Tensor]) -> None:
    """Load every value, and miss none except the counters that Torch7 does not have."""
    missing, unexpected = network.load_state_dict(values, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)


def networks(variant: str, *, large: bool = False) -> tuple[Generator, Discriminator]:
    """The small networks of the reference vectors, in float64."""
    generator = Generator(noise_size=5, large=large, **SMALL)
    discriminator = Discriminator(**SMALL, **SWITCHES[variant])
    return generator.double(), discriminator.double()
