from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.systems.aligndraw import small

from limner.errors import LimnerError
from limner.painting.painter import Painter, load
from limner.systems.aligndraw.painter import AlignDrawPainter
from limner.systems.aligndraw.presets import aligndraw_coco, aligndraw_shapes, debug_form, draw_digits
from limner.systems.protocol import Request, StepAttention

RED, BLUE = "a small red ring", "two large blue stars above a small green square"


@pytest.fixture(scope="module")
def painter() -> Painter:
    return small.painter(debug_form(aligndraw_coco()))


def test_a_picture_does_not_depend_on_its_company(painter: Painter, tmp_path: Path) -> None:
    requests = [Request(RED, 1, 0), Request(BLUE, 1, 0), Request(RED, 2, 3)] * 6
    company = list(painter.paint(requests))
    for place in (0, 1, 2, 16, 17):
        alone = next(painter.paint([requests[place]]))
        assert np.array_equal(alone.array, company[place].array)
        assert np.array_equal(alone.attention.weights, company[place].attention.weights)
    assert not np.array_equal(company[0].array, company[1].array)
    assert not np.array_equal(company[0].array, company[2].array)
    painter.save_pretrained(tmp_path / "painter")
    again = load(tmp_path / "painter", device="cpu")
    assert np.array_equal(next(again.paint(requests[1:2])).array, company[1].array)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_strokes_of_the_bundled_painter_do_not_depend_on_their_company(threads: int) -> None:
    """At full size, where matrix products choose among kernels; the weights of words are floats, not rounded pixels."""
    digits, before = load("digits-aligndraw", device="cpu"), torch.get_num_threads()
    requests = [Request("the digit 4 is on the left of the digit 7", 1, index) for index in range(7)]
    torch.set_num_threads(threads)
    try:
        company = list(digits.paint(requests))
        for place in (0, 3, 4, 6):
            alone = next(digits.paint([requests[place]]))
            assert np.array_equal(alone.array, company[place].array)
            assert np.array_equal(alone.attention.weights, company[place].attention.weights)
    finally:
        torch.set_num_threads(before)
    assert not np.array_equal(company[0].array, company[1].array)


def test_what_can_be_looked_into(painter: Painter) -> None:
    painting = painter(BLUE, seed=3)
    steps = painter.config.drawing.steps
    attention = painting.attention
    assert isinstance(attention, StepAttention)
    assert attention.words == tuple(BLUE.split())
    assert attention.weights.shape == (steps, 9)
    assert attention.weights.sum(1) == pytest.approx(1, abs=1e-5)
    assert attention.windows.shape == (steps, 4)
    assert painting.canvases.shape == (steps, 16, 16, 3)
    assert np.array_equal(painting.canvases[-1], np.asarray(painting.stages["drawing"]))
    assert not np.array_equal(painting.array, painting.canvases[-1])


def test_temperature_scales_the_noise(painter: Painter) -> None:
    first, second = (painter(BLUE, seed=seed) for seed in (1, 2))
    cold = [painter(BLUE, seed=seed, temperature=0) for seed in (1, 2)]
    assert np.array_equal(cold[0].array, cold[1].array)  # no chance is left
    assert not np.array_equal(first.array, second.array)
    assert np.array_equal(painter(BLUE, seed=1, temperature=1.0).array, first.array)
    company = list(painter.paint([Request(BLUE, 1, 0, {"temperature": 0}), Request(BLUE, 1, 0)]))
    assert np.array_equal(company[0].array, cold[0].array)
    assert np.array_equal(company[1].array, first.array)
    for wrong in (-0.1, 1.5, "warm", True):
        with pytest.raises(LimnerError, match="temperature must be a number from 0 to 1"):
            painter(BLUE, temperature=wrong)


def test_a_painter_has_a_temperature_of_its_own(painter: Painter) -> None:
    mild = small.painter(replace(debug_form(aligndraw_coco()), temperature=0.4))
    assert np.array_equal(mild(BLUE, seed=1).array, painter(BLUE, seed=1, temperature=0.4).array)
    assert not np.array_equal(mild(BLUE, seed=1).array, painter(BLUE, seed=1).array)
    with pytest.raises(LimnerError, match="temperature must be between 0 and 1, got 2"):
        replace(debug_form(aligndraw_coco()), temperature=2.0)


def test_the_stream_ends_with_the_painting(painter: Painter) -> None:
    frames = list(painter.stream(RED, seed=5))
    painting = painter(RED, seed=5)
    assert len(frames) == painter.config.drawing.steps
    assert np.array_equal(frames[-1].array, painting.array)
    for done, frame in enumerate(frames[:-1], 1):
        assert np.array_equal(frame.array, painting.canvases[done - 1])
        assert len(frame.attention.weights) == len(frame.attention.windows) == done


def test_draw_paints_without_words() -> None:
    config = debug_form(draw_digits())
    painter = small.painter(replace(config, drawing=replace(config.drawing, first_canvas=0.0)))
    one, other, third = painter(RED, seed=1), painter(BLUE, seed=1), painter(RED, seed=2)
    assert np.array_equal(one.array, other.array)
    assert not np.array_equal(one.array, third.array)
    assert one.attention.words == ()
    assert one.warnings == ("this painter draws without captions; the words change nothing",)
    assert np.ptp(one.array, axis=2).max() == 0  # grey


def test_a_caption_without_words_and_unknown_words_paint(painter: Painter) -> None:
    assert painter("...", seed=1).image.size == (16, 16)
    assert "'zebra'" in painter("a zebra", seed=1).warnings[0]
    assert "longer than 30 words" in painter("a " * 31, seed=1).warnings[0]


def test_bounds_do_not_depend_on_the_other_pairs() -> None:
    config = debug_form(aligndraw_shapes())
    made = small.components(config)
    inner = AlignDrawPainter(config, made)
    pictures = small.corpus().split("val").pixels(16)[:5]
    bounds = inner.bounds(pictures, [RED, BLUE], seed=4)
    assert bounds.shape == (5, 2)
    assert (bounds < 0).all()
    assert inner.bounds(pictures, [BLUE], seed=4)[:, 0] == pytest.approx(bounds[:, 1], rel=1e-5)
    assert abs(bounds[:, 0] - bounds[:, 1]).min() > 0
    assert not np.allclose(inner.bounds(pictures, [BLUE], seed=4, samples=2)[:, 0], bounds[:, 1], rtol=1e-5)
    own = inner.bounds(pictures[:2], [RED, BLUE], crossed=False, seed=4)
    assert own == pytest.approx(bounds[[0, 1], [0, 1]], rel=1e-5)
    with pytest.raises(LimnerError, match="each of 2 pictures needs a caption, got 1"):
        inner.bounds(pictures[:2], [RED], crossed=False)
    with pytest.raises(LimnerError, match=r"pictures must be uint8 \(N, 16, 16, 3\), got uint8 \(5, 8, 16, 3\)"):
        inner.bounds(pictures[:, ::2], [RED])
    del made.weights["recognition"]
    with pytest.raises(LimnerError, match="without the network that looks at pictures"):
        AlignDrawPainter(config, made).bounds(pictures, [RED])
