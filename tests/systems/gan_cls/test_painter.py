from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.systems.gan_cls import small

from limner.errors import LimnerError
from limner.matching.config import PriorConfig
from limner.painting.blend import blend_requests
from limner.painting.painter import Painter, load
from limner.systems.gan_cls.config import StyleConfig
from limner.systems.gan_cls.presets import gan_cls_debug, gan_cls_paper_debug
from limner.systems.protocol import Request
from limner.training.schedule import Schedule

RED, BLUE = "a small red ring", "a large blue star"


def _painter(*, style: bool, paper: bool = False, prior: bool = False) -> Painter:
    """Fresh text encoder, a generator whose noise and text both count, a style encoder and a prior of some steps."""
    config = gan_cls_paper_debug() if paper else gan_cls_debug()
    if prior:
        config = replace(config, prior=PriorConfig(schedule=Schedule(images=64), width=32, batch_size=64,
                                                   learning_rate=0.01, threshold=0.01))
    if style:
        config = replace(config, style=StyleConfig(schedule=Schedule(images=64), width=4, batch_size=8))
    components = small.fresh(config, until="gan")
    _enlarge(components.weights["text_encoder"], 4)
    stage = small.built("gan", config, components)
    components = components | stage.components(stage.modules)
    _enlarge(components.weights["generator"], 8 if paper else 1.5)
    for name in small.SYSTEM.stage_names(config)[2:]:
        stage = small.built(name, config, components)
        for number in range(100 if name == "prior" else 3):
            small.step(stage, small.context(step=number))
        components = components | stage.components(stage.modules)
    return Painter(small.SYSTEM, config, small.SYSTEM.build_painter(config, components))


def _enlarge(weights: dict[str, torch.Tensor], factor: float) -> None:
    """First weights say little of the caption and paint grey."""
    for name, value in weights.items():
        if value.ndim > 1:
            weights[name] = value * factor


@pytest.fixture(scope="module")
def painter() -> Painter:
    return _painter(style=True)


@pytest.fixture(scope="module")
def plain() -> Painter:
    return _painter(style=False, paper=True)


@pytest.fixture(scope="module")
def completing() -> Painter:
    return _painter(style=False, prior=True)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(small.corpus().split("val").pixels(64)[0]).resize((100, 80))


def _same(first: Any, second: Any) -> bool:
    return np.array_equal(first.array, second.array)


@pytest.mark.parametrize("which", ["painter", "plain", "completing"])
def test_blends_start_and_end_at_their_ends(which: str, request: pytest.FixtureRequest) -> None:
    painter = request.getfixturevalue(which)
    start, end, other = painter(RED, seed=1), painter(BLUE, seed=1), painter(BLUE, seed=2)
    assert not _same(start, end)
    assert not _same(end, other)
    captions = list(painter.paint(blend_requests(RED, BLUE, seed=1, steps=3)))
    noises = list(painter.paint(blend_requests(BLUE, seed=1, to_seed=2, steps=3)))
    both = list(painter.paint(blend_requests(RED, BLUE, seed=1, to_seed=2, steps=3)))
    for strip, first, last in ((captions, start, end), (noises, end, other), (both, start, other)):
        assert _same(strip[0], first)
        assert _same(strip[2], last)
        assert not _same(strip[1], strip[0])
        assert not _same(strip[1], strip[2])
    assert _same(captions[1], painter(RED, seed=1, blend=BLUE))  # half way is the default


def test_a_blend_needs_two_ends() -> None:
    with pytest.raises(LimnerError, match="nothing to blend"):
        blend_requests(RED)
    with pytest.raises(LimnerError, match="at least 2 steps, got 1"):
        blend_requests(RED, BLUE, steps=1)
    assert [r.inputs["blend_amount"] for r in blend_requests(RED, BLUE, steps=5)] == [0, 0.25, 0.5, 0.75, 1]


def test_style_comes_from_the_picture_and_not_from_the_seed(painter: Painter, picture: Image.Image, tmp_path: Path
                                                            ) -> None:
    styled = painter(RED, seed=1, style=picture)
    assert _same(styled, painter(RED, seed=2, style=picture))
    assert not _same(styled, painter(RED, seed=1))
    assert not _same(styled, painter(BLUE, seed=1, style=picture))
    assert not _same(styled, painter(RED, style=picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)))
    picture.save(tmp_path / "style.png")
    assert _same(styled, painter(RED, style=str(tmp_path / "style.png")))
    assert styled.story["inputs"]["style"]["size"] == [100, 80]


def test_a_picture_does_not_depend_on_its_company(painter: Painter, picture: Image.Image) -> None:
    requests = [Request(RED, 1, 0), Request(RED, 1, 0, {"blend": BLUE, "blend_amount": 0.3}),
                Request(BLUE, 4, 2, {"blend_seed": 9}), Request(BLUE, 0, 0, {"style": picture})] * 5
    company = list(painter.paint(requests))
    for place in (0, 1, 2, 3, 17, 18, 19):
        assert _same(next(painter.paint([requests[place]])), company[place])


@pytest.mark.parametrize(("inputs", "words"), [
    ({"blend": BLUE, "blend_amount": 1.5}, "blend_amount must be a number from 0 to 1, got 1.5"),
    ({"blend": BLUE, "blend_amount": -0.1}, "from 0 to 1"),
    ({"blend": BLUE, "blend_amount": float("nan")}, "from 0 to 1, got nan"),
    ({"blend": BLUE, "blend_amount": "half"}, "got 'half'"),
    ({"blend": BLUE, "blend_amount": True}, "got True"),
    ({"blend_amount": 0.5}, "nothing to blend"),
    ({"blend": " "}, "blend must be a second caption"),
    ({"blend": 3}, "blend must be a second caption, got 3"),
    ({"blend_seed": 1.5}, "blend_seed must be a whole number, got 1.5"),
    ({"style": "none.png"}, "there is no picture none.png"),
    ({"style": 7}, "style must be a picture or its file, got int"),
    ({"style": Image.new("RGB", (8, 8)), "blend_seed": 3}, "give one of the two"),
    ({"boxes": []}, "gan-cls takes no input 'boxes'"),
])
def test_inputs_that_cannot_be_used_are_refused(painter: Painter, inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(LimnerError, match=words):
        painter(RED, **inputs)


def test_a_broken_style_file_is_refused(painter: Painter, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(LimnerError, match=r"broken\.png cannot be decoded"):
        painter(RED, style=tmp_path / "broken.png")


def test_style_needs_a_style_encoder(plain: Painter, picture: Image.Image) -> None:
    with pytest.raises(LimnerError, match=r"no style encoder.*--set style\.schedule\.images"):
        plain(RED, style=picture)


def test_what_cannot_be_read_is_told(painter: Painter, plain: Painter) -> None:
    assert painter(RED).warnings == ()
    assert painter("a small zorb ring zorb").warnings == ("unknown words, left out: 'zorb'",)
    [second] = painter(RED, blend="a zorb ring").warnings
    assert second == "second caption: unknown words, left out: 'zorb'"
    assert any("longer than 30 words" in warning for warning in painter("red " * 40).warnings)
    assert plain("a caf\u00e9").warnings == ("unknown characters, left out: '\u00e9'",)
    assert any("longer than 201 characters" in warning for warning in plain("red " * 60).warnings)


@pytest.mark.parametrize("which", ["painter", "plain"])
@pytest.mark.parametrize("half", [False, True])
def test_save_and_load(which: str, half: bool, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    painter = request.getfixturevalue(which)
    again = load(painter.save_pretrained(tmp_path / "bundle", half=half), device="cpu")
    assert again.config == painter.config
    assert again.components.assets == painter.components.assets
    for name, weights in painter.components.weights.items():
        for key, value in weights.items():
            expected = value.half().float() if half and value.is_floating_point() else value
            assert torch.equal(again.components.weights[name][key], expected)
    difference = np.abs(again(RED, seed=3).array.astype(int) - painter(RED, seed=3).array).max()
    assert difference <= (2 if half else 0)
    twice = load(again.save_pretrained(tmp_path / "again", half=half), device="cpu")
    assert _same(twice(RED, seed=3), again(RED, seed=3))


def test_to_a_device_takes_every_network_along(painter: Painter) -> None:
    moved = small.SYSTEM.build_painter(painter.config, painter.components).to(torch.device("meta"))
    for network in (moved.text_encoder, moved.generator, moved.style_encoder):
        assert {value.device.type for value in network.state_dict().values()} == {"meta"}
    assert moved.device.type == "meta"
    back = Painter(painter.system, painter.config, small.SYSTEM.build_painter(painter.config, painter.components))
    assert _same(back.to("cpu")(RED), painter(RED))
