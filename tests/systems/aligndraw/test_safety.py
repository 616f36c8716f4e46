"""No number overflows, whatever the pictures and however large the heads' outputs; batches do not mix."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from limner.systems.aligndraw.config import AlignDrawConfig
from limner.systems.aligndraw.drawing import bound, generate, reconstruct
from limner.systems.aligndraw.networks import Generator, Recognition
from limner.systems.aligndraw.presets import aligndraw_shapes, debug_form, draw_digits
from limner.systems.aligndraw.windows import (
    bounded,
    outline,
    placed_outline,
    placed_window,
    read,
    window,
    write,
)

CONFIG = debug_form(aligndraw_shapes())


def _networks(config: AlignDrawConfig, scale: float, seed: int) -> tuple[Generator, Recognition]:
    torch.manual_seed(seed)
    text = config.captions is not None
    generator = Generator(config.drawing, config.captions, words=9 if text else 0)
    recognition = Recognition(config.drawing, learned_start=text)
    with torch.no_grad():
        for network in (generator, recognition):
            for parameter in network.parameters():
                parameter.normal_(0, scale)
    return generator, recognition


@settings(max_examples=25, deadline=None)
@given(scale=st.sampled_from([0.01, 1.0, 30.0, 1e3, 1e4]), seed=st.integers(0, 1000),
       picture=st.sampled_from(["black", "white", "noise"]), text=st.booleans())
def test_loss_and_gradients_stay_finite(scale: float, seed: int, picture: str, text: bool) -> None:
    config = CONFIG if text else debug_form(draw_digits())
    generator, recognition = _networks(config, scale, seed)
    shape = (3, config.drawing.channels, 16, 16)
    pictures = {"black": torch.zeros(shape), "white": torch.ones(shape), "noise": torch.rand(shape)}[picture]
    words = generator.read_captions(torch.randint(0, 9, (3, 5)), torch.tensor([1, 5, 3])) if text else None
    noise = torch.randn(3, 3, 4)
    strokes = reconstruct(generator, recognition, pictures, words, noise)
    cost = bound(pictures, strokes).cost
    assert torch.isfinite(cost).all()
    cost.mean().backward()
    for network in (generator, recognition):
        for name, parameter in network.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    assert torch.isfinite(generate(generator, None if words is None else generator.read_captions(
        torch.ones(3, 5, dtype=torch.int64), torch.tensor([1, 5, 3])), noise)[-1].canvas).all()


@settings(max_examples=30, deadline=None)
@given(parameters=st.lists(st.floats(-1e4, 1e4, width=32), min_size=5, max_size=5), count=st.integers(1, 9),
       grid=st.sampled_from(["paper", "official"]))
def test_windows_stay_finite(parameters: list[float], count: int, grid: str) -> None:
    given_parameters = torch.tensor([parameters], requires_grad=True)
    through = window(given_parameters, size=12, count=count, grid=grid)
    seen = read(torch.rand(1, 2, 12, 12), through)
    written = write(torch.rand(1, count * count), through, channels=1)
    assert torch.isfinite(seen).all()
    assert torch.isfinite(written).all()
    assert ((through.rows >= 0) & (through.rows <= 1)).all()
    (seen.mean() + written.mean()).backward()
    assert given_parameters.grad is not None
    assert torch.isfinite(given_parameters.grad).all()


def test_a_bounded_logarithm_can_come_back() -> None:
    values = torch.tensor([-50.0, 3.0, 50.0], requires_grad=True)
    held = bounded(values)
    assert held.tolist() == [-20, 3, 20]
    held.square().sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [-40, 6, 40]


@pytest.mark.parametrize("count", [2, 5, 8])
def test_an_outline_lies_where_the_filters_do(count: int) -> None:
    parameters = torch.tensor([[0.0, 0, 0, 0, 0], [0.2, -0.1, -2, 0.0, 0]])
    pixels = (torch.arange(40) + 0.5) / 40
    for grid in ("paper", "official"):
        through = window(parameters, size=40, count=count, grid=grid)
        lies = outline(parameters, size=40, count=count, grid=grid)[1].tolist()
        for column, banks in enumerate((through.columns, through.rows)):
            means = (banks[1] * pixels).sum(1) / banks[1].sum(1)  # the second window lies inside the picture
            assert float(means.mean()) == pytest.approx(lies[column], abs=2e-3)
            assert float(means[-1] - means[0]) == pytest.approx(lies[2], abs=2e-3)
    assert outline(parameters, size=40, count=count)[0].tolist() == pytest.approx([0.5, 0.5, 39 / 40, 1 / 40])


@pytest.mark.parametrize("count", [5, 8, 12])
def test_a_placed_window_lies_where_its_logits_say(count: int) -> None:
    settings = {"size": 40, "count": count, "places": 5, "side": 0.4}
    logits = torch.full((2, 11), -50.0)
    logits[:, -1] = 0
    logits[0, [0, 9]] = 50  # the first row, the last column
    logits[1, [2, 3, 7]] = 50  # between the third and the fourth row, the third column
    through, lies = placed_window(logits, **settings), placed_outline(logits, **settings)
    pixels = (torch.arange(40) + 0.5) / 40
    assert lies[0, :3].tolist() == pytest.approx([(40 - 0.2 * 39 - 0.5) / 40, (1 + 0.2 * 39 - 0.5) / 40, 0.39])
    for axis, banks in enumerate((through.columns, through.rows)):
        means = (banks[1] * pixels).sum(1) / banks[1].sum(1)
        assert float(means.mean()) == pytest.approx(float(lies[1, axis]), abs=2e-3)
        assert float(means[-1] - means[0]) == pytest.approx(float(lies[1, 2]), abs=2e-3)


def test_undecided_placed_windows_feel_every_place() -> None:
    logits = torch.zeros(1, 15, requires_grad=True)
    through = placed_window(logits, size=60, count=12, places=7, side=0.5)
    patch = torch.ones(1, 144)
    towards = torch.zeros(1, 1, 60, 60)
    towards[..., :20, 40:] = 1  # ink is wanted at the top right
    (write(patch, through, channels=1) * towards).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, :7].argmax() == 0
    assert logits.grad[0, 7:14].argmax() == 6


def test_neighbours_and_padding_change_nothing() -> None:
    generator, recognition = _networks(CONFIG, 0.5, 3)
    pictures, noise = torch.rand(4, 3, 16, 16), torch.randn(3, 4, 4)
    tokens, lengths = torch.randint(0, 9, (4, 6)), torch.tensor([2, 6, 4, 1])
    together = bound(pictures, reconstruct(generator, recognition, pictures, generator.read_captions(tokens, lengths),
                                           noise)).cost
    for row, length in enumerate(lengths.tolist()):
        alone = generator.read_captions(tokens[row:row + 1, :length], lengths[row:row + 1])
        cost = bound(pictures[row:row + 1], reconstruct(generator, recognition, pictures[row:row + 1], alone,
                                                        noise[:, row:row + 1])).cost
        torch.testing.assert_close(cost, together[row:row + 1], rtol=1e-5, atol=1e-3)


def test_more_steps_than_in_training() -> None:
    generator, _ = _networks(replace(CONFIG, drawing=replace(CONFIG.drawing, steps=2)), 0.1, 0)
    words = generator.read_captions(torch.ones(1, 3, dtype=torch.int64), torch.tensor([3]))
    assert len(generate(generator, words, torch.randn(7, 1, 4))) == 7
