"""The promise of painting with a real system: GAN-CLS, both forms, tiny."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.painting.painter import Painter, load
from limner.systems import find_preset
from limner.systems.protocol import Request
from limner.training.stage import Components


@pytest.fixture(scope="module", params=["gan-cls-debug", "gan-cls-paper-debug"])
def painter(request: pytest.FixtureRequest) -> Painter:
    """A painter with fresh weights: nothing has to be learnt to see whether a picture depends on its company."""
    system, preset = find_preset(request.param)
    config = system.presets[preset]()
    corpus = Corpus({split: PictureSet.from_arrays(*shapes_arrays(12, size=64, split=split))
                     for split in ("train", "val")})
    components = Components()
    for name in system.stage_names(config):
        stage = system.build_stage(name, config, corpus, components, 0)
        components = components | stage.components(stage.modules)
    return Painter(system, config, system.build_painter(config, components))


def test_a_picture_is_the_same_alone_in_company_and_after_a_reload(painter: Painter, tmp_path: Path) -> None:
    captions = [f"a {colour} {shape}" for colour in ("red", "blue", "green") for shape in ("ring", "star", "square")]
    many = painter(captions, seed=3, images_per_caption=2)
    again = load(painter.save_pretrained(tmp_path / "bundle"), device="cpu")
    for place in (0, 7, 15, 16, 17):
        request = Request(many[place].caption, 3, many[place].index)
        assert np.array_equal(next(painter.paint([request])).array, many[place].array)
        assert np.array_equal(next(again.paint([request])).array, many[place].array)
        assert np.array_equal(list(painter.stream(request.caption, seed=3, index=request.index))[-1].array,
                              many[place].array)
    turned = list(again.paint([Request(p.caption, p.seed, p.index) for p in reversed(many)]))
    assert all(np.array_equal(a.array, b.array) for a, b in zip(reversed(turned), many, strict=True))
    assert not np.array_equal(many[0].array, many[1].array)
