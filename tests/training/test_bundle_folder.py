from pathlib import Path

import pytest
import torch

from limner.errors import LimnerError
from limner.training.bundle_folder import BundleFolder, read_bundle, write_bundle
from limner.training.stage import Components


def _bundle() -> BundleFolder:
    weights = {"net": {"w": torch.linspace(-1, 1, 7), "count": torch.tensor(2**40)}}
    return BundleFolder("toy", {"width": 8}, Components(weights, {"words": ["a", "b\u00e9"]}), {"name": "t"})


def test_a_bundle_comes_back(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", _bundle(), texts={"README.md": "# Card"})
    assert {path.name for path in (tmp_path / "b").iterdir()} == {
        "config.json", "net.safetensors", "words.json", "README.md"}
    back = read_bundle(tmp_path / "b")
    assert (back.system, back.config, back.info) == ("toy", {"width": 8}, {"name": "t"})
    assert back.components.assets == {"words": ["a", "b\u00e9"]}
    for name, value in _bundle().components.weights["net"].items():
        assert torch.equal(back.components.weights["net"][name], value)


def test_half_bundles_are_read_as_float32(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", _bundle(), half=True)
    weights = read_bundle(tmp_path / "b").components.weights["net"]
    assert torch.equal(weights["w"], torch.linspace(-1, 1, 7).half().float())
    assert weights["count"] == 2**40


def test_bad_bundles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LimnerError, match=r"no config\.json"):
        read_bundle(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 2, "system": "toy", "config": {}}')
    with pytest.raises(LimnerError, match="bundle format 2"):
        read_bundle(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(LimnerError, match="does not describe a painter"):
        read_bundle(tmp_path)
    for name in ("../up", "config", ""):
        with pytest.raises(LimnerError, match="cannot be called"):
            write_bundle(tmp_path / "b", BundleFolder("toy", {}, Components({name: {}})))
