from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
from tests.golden.attngan import reference as ref
from torch import nn

from limner.errors import LimnerError
from limner.interop.attngan import convert_inception, import_attngan, import_generator, import_vocabulary
from limner.interop.restricted_pickle import read_pickle
from limner.painting.painter import Painter
from limner.systems import get_system
from limner.training.tensors import load_tensors
from limner.vision.inception import InceptionTrunk

GENERATOR = ref.HERE / "legacy_netG_epoch_600.pth"


def _text_encoder(folder: Path) -> Path:
    path = folder / "text_encoder200.pth"
    torch.save({key.removeprefix("sd/"): torch.from_numpy(value) for key, value in ref.arrays("text_encoder").items()
                if key.startswith("sd/")}, path)
    return path


def _captions(folder: Path, count: int) -> Path:
    words = {i: "<end>" if i == 0 else f"word{i}" for i in range(count)}
    path = folder / "captions.pickle"
    path.write_bytes(pickle.dumps([[[1, 2]], [[3]], words, {word: i for i, word in words.items()}], protocol=2))
    return path


def test_the_authors_files_become_a_painter(tmp_path: Path) -> None:
    config, components = import_attngan(generator=GENERATOR, text_encoder=_text_encoder(tmp_path),
                                        captions=_captions(tmp_path, 30))
    assert config.gan.sides == (64, 128, 256)
    assert (config.gan.residual_blocks, config.gan.generator_width, config.gan.official_mask) == (2, 4, True)
    system = get_system("attngan")
    painter = Painter(system, config, system.build_painter(config, components))
    painting = painter("word3 Word7, word12", seed=1)
    assert painting.image.size == (256, 256)
    assert painting.attention["256"].words == ("word3", "word7", "word12")
    assert painting.warnings == ()


def test_other_vocabularies_and_other_files_are_refused(tmp_path: Path) -> None:
    text_encoder = _text_encoder(tmp_path)
    with pytest.raises(LimnerError, match=r"knows 30 words .* 29"):
        import_attngan(generator=GENERATOR, text_encoder=text_encoder, captions=_captions(tmp_path, 29))
    with pytest.raises(LimnerError, match=r"no tensor 'encoder\.weight'"):
        import_generator(text_encoder)


def test_forks_that_wrap_the_state_are_read(tmp_path: Path) -> None:
    path = tmp_path / "netG.pth"
    torch.save({"netG": torch.load(GENERATOR, map_location="cpu", weights_only=True), "epoch": 3}, path)
    (settings, state), (_, plain) = import_generator(path), import_generator(GENERATOR)
    assert settings["text_size"] == 16
    assert all(torch.equal(state[name], plain[name]) for name in plain)


def test_pickles_of_python_2_are_read() -> None:
    assert import_vocabulary(ref.HERE / "py2_captions.pickle").size >= 2
    assert all(isinstance(name, str) for name in read_pickle(ref.HERE / "py2_filenames.pickle"))
    kinds = [[int(x) for x in read_pickle(ref.HERE / f"py2_class_info_{kind}.pickle")]
             for kind in ("ints", "npscalars", "nparray")]
    assert kinds[0] == kinds[1] == kinds[2]


def test_inception_weights_are_checked(tmp_path: Path) -> None:
    published = {**InceptionTrunk().state_dict(), "fc.weight": torch.zeros(2, 2), "AuxLogits.fc.bias": torch.zeros(2)}
    path = tmp_path / "inception_v3_google-00000000.pth"
    torch.save(published, path)
    with pytest.raises(LimnerError, match="SHA-256"):
        convert_inception(path, tmp_path / "trunk.safetensors")
    path = path.rename(tmp_path / "mine.pth")
    torch.save(published | {"Mixed_5b.branch1x1.conv.weight": torch.full((64, 192, 1, 1), torch.nan)}, path)
    with pytest.raises(LimnerError, match="not finite"):
        convert_inception(path, tmp_path / "trunk.safetensors")
    torch.save(published, path)
    found = load_tensors(convert_inception(path, tmp_path / "trunk.safetensors"))
    assert found.keys() == InceptionTrunk().state_dict().keys()
    buffer = io.BytesIO()
    torch.save(nn.Linear(2, 2).state_dict(), buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(LimnerError, match="lacks"):
        convert_inception(path, tmp_path / "other.safetensors")
