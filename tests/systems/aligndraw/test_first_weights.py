from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.systems.aligndraw import small

from limner.systems.aligndraw.build import fresh_networks
from limner.systems.aligndraw.config import AlignDrawConfig
from limner.systems.aligndraw.presets import aligndraw_digits, aligndraw_digits_quick, debug_form
from limner.systems.aligndraw.stages import DrawingStage
from limner.systems.aligndraw.windows import window
from limner.text.words import WordTokeniser

TOKENISER = WordTokeniser.from_captions(["the digit 3 is at the top left of the image"], length=12, min_count=1)


def test_scaled_matrices_keep_the_size_of_their_inputs() -> None:
    generator, recognition = fresh_networks(aligndraw_digits_quick(), TOKENISER, 0)
    for matrix in (generator.dec["W_rec"], recognition.enc["W_in"], generator.align["U"]):
        assert (torch.randn(200, len(matrix)) @ matrix).std().item() == pytest.approx(1, rel=0.1)
    for part in (generator.dec, generator.lang_bwd, recognition.enc):
        assert [float(gate.mean()) for gate in part["b"].detach().chunk(4)] == [0, 1, 0, 0]
    assert generator.init["canvas"].unique().tolist() == [-10]


def _free_windows() -> AlignDrawConfig:
    config = aligndraw_digits_quick()
    return replace(config, drawing=replace(config.drawing, write_places=0))


@pytest.mark.parametrize(("config", "seen"), [(aligndraw_digits(), 0.4), (_free_windows(), 0.9)],
                         ids=["paper", "scaled"])
def test_scaled_windows_have_no_gaps(config: object, seen: float) -> None:
    """The least reached of the inner columns, as a share of the most reached one: above or below ``seen``."""
    generator, _ = fresh_networks(config, TOKENISER, 0)  # type: ignore[arg-type]
    drawing = generator.drawing
    first = generator.write_head["b"][None].detach()
    columns = window(first, size=60, count=drawing.write_size).columns[0].sum(0)[15:-15]
    ratio = float(columns.min() / columns.max())
    assert ratio > seen if drawing.first_weights == "scaled" else ratio < seen


def test_adam_warms_up_falls_and_is_clipped() -> None:
    config = debug_form(aligndraw_digits_quick())
    stage = DrawingStage(replace(config, drawing=replace(config.drawing, drop_from=0.6)), small.corpus(), 0)
    batch = small.Loader(small.corpus().split("train"), stage.plan, 0).batch(0)
    rates = []
    for step, seen in ((0, 0), (49, 100), (300, 590), (301, 800), (302, 990)):
        stage.step(batch, small.context(step, images_seen=seen))
        rates.append(stage.optimiser.param_groups[0]["lr"])
        gradients = [parameter.grad.norm() for parameter in stage.generator.parameters() if parameter.grad is not None]
        assert torch.stack(gradients).norm() < 10.01
    assert rates == pytest.approx([2e-5, 1e-3, 2e-3, 1e-3, 5e-5])


def test_never_falling() -> None:
    config = debug_form(aligndraw_digits_quick())
    stage = DrawingStage(replace(config, drawing=replace(config.drawing, drop_from=1.0)), small.corpus(), 0)
    stage.step(small.Loader(small.corpus().split("train"), stage.plan, 0).batch(0),
               small.context(200, images_seen=999))
    assert stage.optimiser.param_groups[0]["lr"] == 2e-3
