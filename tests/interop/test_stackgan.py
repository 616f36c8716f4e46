from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.systems.stackgan import official

from limner.errors import LimnerError
from limner.interop.stackgan import import_painter, import_stackgan
from limner.painting.painter import load


def _checkpoint(tmp_path: Path, file: str, prefix: str, *, old: bool = False) -> Path:
    state = official.tensors(official.arrays(file), prefix)
    if old:  # of 2017: no counts of batches, no zip
        state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    path = tmp_path / "netG_epoch_90.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    return path


@pytest.mark.parametrize("old", [False, True])
def test_a_generator_of_stage_two_holds_both_stages(tmp_path: Path, old: bool) -> None:
    found = import_stackgan(_checkpoint(tmp_path, "stage2_G", "state/", old=old))
    assert found["sketch"].settings == {"text_size": 32, "condition_size": 16, "noise_size": 12, "width": 8,
                                        "image_size": 64}
    assert found["refinement"].settings == {"text_size": 32, "condition_size": 16, "width": 8, "sketch_size": 64,
                                            "image_size": 256, "residual_blocks": 4}
    golden = official.arrays("stage2_G")
    text, noise, first, second = (torch.from_numpy(golden[f"in/{name}"])
                                  for name in ("text", "noise", "eps_stage1", "eps_stage2"))
    with torch.no_grad():
        sketch, _ = found["sketch"].build().eval()(text, noise, first)
        image, _ = found["refinement"].build().eval()(sketch, text, second)
    official.close(image[:, :, ::4, ::4], golden["eval/fake_img_sub4"], 2e-4)
    counts = [value for name, value in found["sketch"].state.items() if name.endswith("tracked")]
    assert counts
    assert all(int(value) == (0 if old else 7) for value in counts)


def test_discriminators_and_stage_one(tmp_path: Path) -> None:
    first = import_stackgan(_checkpoint(tmp_path, "stage1_D", "state/"))["discriminator"]
    assert first.settings == {"image_size": 64, "width": 8, "condition_size": 16, "unconditional": False}
    second = import_stackgan(_checkpoint(tmp_path, "stage2_step_in", "pre/D/"))["discriminator"]
    assert second.settings == {"image_size": 256, "width": 4, "condition_size": 16, "unconditional": True}
    assert list(import_stackgan(_checkpoint(tmp_path, "stage1_G", "state/"))) == ["sketch"]


@pytest.mark.parametrize(("file", "size", "stages"), [("stage2_G", 256, ["sketch", "refinement"]),
                                                      ("stage1_G", 64, ["sketch"])])
def test_a_painter_from_a_checkpoint_paints_given_embeddings(tmp_path: Path, file: str, size: int, stages: list[str]
                                                             ) -> None:
    painter = import_painter(_checkpoint(tmp_path, file, "state/", old=True))
    vector = official.arrays(file)["in/text"][0]
    painting = painter("a bird", seed=3, embedding=vector)
    assert painting.image.size == (size, size)
    assert list(painting.stages) == stages
    again = load(painter.save_pretrained(tmp_path / "bundle"), device="cpu")("a bird", seed=3, embedding=vector)
    assert np.array_equal(again.array, painting.array)
    with pytest.raises(LimnerError, match="captions have no embedding"):
        painter("a bird")


def _spoilt(name: str, value: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = official.tensors(official.arrays("stage2_G"), "state/")
    if value is None:
        del state[name]
        return state
    return state | {name: value}


@pytest.mark.parametrize(("name", "value", "words"), [
    ("fc.0.weight", torch.zeros(3, 3), r"holds fc\.0, which an official StackGAN refinement does not have"),
    ("STAGE1_G.fc.0.weight", None, r"STAGE1_G\.\*.* it lacks 'start\.weight'"),
    ("residual.1.block.3.weight", None, r"lacks what becomes blocks\.1\.convolution2\.weight"),
    ("upsample2.1.weight", torch.zeros(3, 3, 3, 3), r"ups\.1\.convolution\.weight has the shape \(3, 3, 3, 3\)"),
    ("img.0.weight", torch.full((3, 2, 3, 3), torch.nan), r"to_rgb\.weight holds numbers that are not finite"),
    ("encoder.0.weight", torch.tensor(1.0), "its shapes make no such network"),
    ("STAGE1_G.fc.0.weight", torch.zeros(3), "its shapes make no such network"),
    ("img.0.bias", torch.zeros(3), r"holds what becomes to_rgb\.bias, which"),
])
def test_other_networks_are_refused_with_the_reason(tmp_path: Path, name: str, value: torch.Tensor | None, words: str
                                                    ) -> None:
    torch.save(_spoilt(name, value), tmp_path / "net.pth")
    with pytest.raises(LimnerError, match=words):
        import_stackgan(tmp_path / "net.pth")


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (Path("harm"),)  # type: ignore[return-value]


def test_a_file_that_is_a_program_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"a": _Harmful()}, protocol=2))
    with pytest.raises(LimnerError, match="nothing in it has run"):
        import_stackgan(tmp_path / "net.pth")
    assert not (tmp_path / "harm").exists()


def test_a_discriminator_does_not_paint(tmp_path: Path) -> None:
    with pytest.raises(LimnerError, match="is a discriminator"):
        import_painter(_checkpoint(tmp_path, "stage1_D", "state/"))
