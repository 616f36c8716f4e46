from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from limner.errors import LimnerError
from limner.evaluation.fid_inception import CLASSES, FidInception, load_fid_inception
from limner.nn.initialisation import seeded_initialisation
from limner.vision.inception import InceptionTrunk

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def weights() -> Weights:
    """First weights by the names of the standard file, which has no counts of batches."""
    with seeded_initialisation(0, "inception"):
        trunk, fc = InceptionTrunk(), torch.nn.Linear(2048, CLASSES)
    own = {name: value for name, value in trunk.state_dict().items() if not name.endswith("num_batches_tracked")}
    return own | {f"fc.{name}": value for name, value in fc.state_dict().items()}


@torch.inference_mode()
def test_its_pools_are_those_of_the_standard_network(weights: Weights) -> None:
    network = FidInception(weights)
    seen: dict[str, torch.Tensor] = {}
    for name in ("Mixed_5b", "Mixed_7b", "Mixed_7c"):
        block = network.trunk.get_submodule(name)
        block.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: inputs[0]}))
        block.branch_pool.conv.register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({f"{name} pooled": inputs[0]}))
    features = network(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert features.shape == (2, 2048)
    for name in ("Mixed_5b", "Mixed_7b"):
        without_border = functional.avg_pool2d(seen[name], 3, stride=1, padding=1, count_include_pad=False)
        torch.testing.assert_close(seen[f"{name} pooled"], without_border, rtol=1e-5, atol=1e-6)
    assert torch.equal(seen["Mixed_7c pooled"], functional.max_pool2d(seen["Mixed_7c"], 3, stride=1, padding=1))
    logits = features @ weights["fc.weight"].T  # without the bias
    torch.testing.assert_close(network.probabilities(features), logits.exp() / logits.exp().sum(1, keepdim=True))


def test_other_weights_are_refused(weights: Weights) -> None:
    short = {name: value for name, value in weights.items() if name != "fc.weight"}
    for changed, words in (({**weights, "more": torch.zeros(1)}, "more is too much"),
                           (short, "fc.weight is missing"),
                           ({**weights, "fc.weight": torch.zeros(1000, 2048)}, "size mismatch")):
        with pytest.raises(LimnerError, match=words):
            FidInception(changed)


def test_only_the_standard_file_gives_an_fid(weights: Weights, tmp_path: Path) -> None:
    torch.save({"fc.bias": weights["fc.bias"]}, tmp_path / "other.pth")
    with pytest.raises(LimnerError, match="never called FID"):
        load_fid_inception(tmp_path / "other.pth")
    with pytest.raises(LimnerError, match="there is no file"):
        load_fid_inception(tmp_path / "none.pth")
