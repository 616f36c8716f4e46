from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from limner.errors import LimnerError
from limner.vision.config import ImageEncoderConfig
from limner.vision.encoders import PretrainedImageEncoder, SmallImageEncoder, build_image_encoder


@pytest.mark.parametrize(("size", "side"), [(8, 4), (32, 4), (64, 4), (76, 4), (96, 6), (128, 4)])
def test_the_small_encoder_takes_every_size(size: int, side: int) -> None:
    encoder = SmallImageEncoder(image_size=size, width=2, embedding=5)
    assert encoder.head.in_features % side**2 == 0
    assert encoder(torch.zeros(3, 3, size, size)).shape == (3, 5)


def test_a_vector_knows_where_things_are() -> None:
    encoder = SmallImageEncoder(image_size=32, width=4, embedding=5).eval()
    image = torch.zeros(1, 3, 32, 32)
    image[:, :, 4:12, 4:12] = 1
    assert not torch.allclose(encoder(image), encoder(image.flip(3)), atol=1e-4)


@pytest.fixture(params=["vit", "resnet", "clip"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny model of the transformers library with first weights, as its authors would save it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    vit = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
           "image_size": 16, "patch_size": 8}
    size: object = {"height": 16, "width": 16}
    if request.param == "vit":
        model = transformers.ViTModel(transformers.ViTConfig(**vit))
    elif request.param == "resnet":
        model = transformers.ResNetModel(transformers.ResNetConfig(
            embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"))
        size = {"shortest_edge": 16}
    else:
        text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
                "vocab_size": 20}
        model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vit))
        size = 16
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(
        {"size": size, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}))
    return tmp_path


def test_a_pretrained_model_is_frozen_and_stays_out_of_the_state(folder: Path) -> None:
    encoder = build_image_encoder(ImageEncoderConfig(architecture="pretrained", pretrained=str(folder)),
                                  image_size=64, embedding=5)
    assert set(encoder.state_dict()) == {"head.weight", "head.bias"}
    assert encoder.head.in_features == 8
    images = torch.rand(2, 3, 64, 64).mul(2).sub(1)
    vectors = encoder(images)
    assert vectors.shape == (2, 5)
    vectors.sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is not None] == ["head.weight", "head.bias"]
    assert not encoder._frozen[0].training
    again = PretrainedImageEncoder(str(folder), embedding=5)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(images), vectors)


@pytest.mark.parametrize("folder", ["vit"], indirect=True)
def test_pictures_reach_the_model_as_its_authors_prepare_them(folder: Path) -> None:
    encoder = PretrainedImageEncoder(str(folder), embedding=5)
    seen = []
    encoder._frozen[0].register_forward_pre_hook(lambda module, _, named: seen.append(named["pixel_values"]),
                                                 with_kwargs=True)
    encoder(torch.zeros(1, 3, 64, 64))  # mid grey, 0.5 on the scale of 0 to 1
    assert seen[0].shape == (1, 3, 16, 16)
    expected = torch.tensor([0.0, 0.1 / 0.3, 0.2 / 0.4])
    torch.testing.assert_close(seen[0][0, :, 3, 3], expected)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(LimnerError, match="holds no image model of the transformers library"):
        PretrainedImageEncoder(str(tmp_path / "nowhere"), embedding=4)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LimnerError, match="holds no image model"):
        PretrainedImageEncoder(str(tmp_path), embedding=4)


@pytest.mark.parametrize("folder", ["vit"], indirect=True)
def test_a_folder_without_its_preprocessor_or_with_a_pickle_is_refused(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"size": 16, "image_mean": [0.5], "image_std": [1]}')
    with pytest.raises(LimnerError, match="must name size"):
        PretrainedImageEncoder(str(folder), embedding=4)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(LimnerError, match=r"there is no file .*preprocessor_config"):
        PretrainedImageEncoder(str(folder), embedding=4)
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(LimnerError, match="holds no image model"):
        PretrainedImageEncoder(str(folder), embedding=4)


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LimnerError, match=r"limner\[pretrained\]"):
        PretrainedImageEncoder("anywhere", embedding=4)


def test_a_configuration_names_the_folder_or_is_refused() -> None:
    with pytest.raises(LimnerError, match="needs the field 'pretrained'"):
        ImageEncoderConfig(architecture="pretrained")
    with pytest.raises(LimnerError, match="no other architecture takes it"):
        ImageEncoderConfig(pretrained="x")
