from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.painters import tiny_painter
from tests.systems.aligndraw import small

from limner.data.pictures import Corpus
from limner.evaluation.bench import Bench
from limner.evaluation.likelihood import METRICS, retrieval
from limner.evaluation.metrics import get_metric
from limner.systems.aligndraw.presets import aligndraw_shapes, debug_form, draw_digits

LIKELIHOOD = METRICS["likelihood"]


def test_retrieval_by_hand() -> None:
    bounds = np.array([[-1.0, -2.0, -3.0, -4.0],   # right: 0 and 3; the best of all is one of them
                       [-5.0, -6.0, -7.0, -8.0],   # right: 1, second
                       [-1.0, -1.0, -1.0, -1.0],   # right: 2, tied with three wrong ones: last
                       [-9.0, -2.0, -3.0, -5.0]])  # right: 0 and 3, third
    found = retrieval(bounds, np.array([7, 8, 9, 7]))
    assert found.candidates == 4
    assert found.right == 1.5
    assert found.recall == {1: 0.25, 5: 1.0}
    assert found.chance == pytest.approx({1: 1.5 / 4, 5: 1.0})
    assert found.median_rank == 2.5  # of 1, 2, 4, 3
    # means of right less means of wrong: -2.5 + 2.5, -6 + 20 / 3, 0, -7 + 2.5
    assert found.gap == pytest.approx((0 + 2 / 3 + 0 - 4.5) / 4)


def test_chance_of_recall_is_that_of_random_orders() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(5), [4, 1, 1, 1, 1])
    recalls = np.mean([[retrieval(rng.normal(size=(8, 8)), kinds).recall[rank] for rank in (1, 5)]
                       for _ in range(3000)], 0)
    assert list(retrieval(np.zeros((8, 8)), kinds).chance.values()) == pytest.approx(recalls, abs=0.02)


def test_nothing_to_choose_between() -> None:
    found = retrieval(np.zeros((3, 3)), np.zeros(3, np.int64))
    assert found.recall == found.chance == {1: 1.0, 5: 1.0}
    assert np.isnan(found.gap)


def test_it_measures_own_captions_and_all_candidates() -> None:
    bench = Bench(small.painter(debug_form(aligndraw_shapes())), small.corpus(), split="val", samples=12)
    assert LIKELIHOOD.needs(bench) is None
    measured = LIKELIHOOD.measure(bench)
    record = measured.record
    assert record["pictures"] == 12
    assert record["bound"] < 0
    assert record["bits_per_value"] == pytest.approx(-record["bound"] / np.log(2) / (16 * 16 * 3))
    assert record["retrieval"]["candidates"] == 12
    assert [line.name for line in measured.lines] == ["likelihood", "caption recall@1", "caption recall@5",
                                                      "caption gap"]
    [table] = measured.tables
    assert len(table.rows) == 12
    assert table.rows[0][1] == bench.captions[0]


def test_draw_has_a_likelihood_and_no_retrieval() -> None:
    painter = small.painter(debug_form(draw_digits()))
    measured = LIKELIHOOD.measure(Bench(painter, small.corpus(), split="val", samples=5))
    assert "retrieval" not in measured.record
    assert [line.name for line in measured.lines] == ["likelihood"]


def test_it_says_what_it_needs(corpus: Corpus) -> None:
    assert get_metric("likelihood") is LIKELIHOOD
    other = Bench(tiny_painter(corpus.split("test"), 16)[0], corpus, samples=4)
    assert LIKELIHOOD.needs(other) == "only alignDRAW and DRAW bound the likelihood of a picture"
    config = debug_form(aligndraw_shapes())
    parts = small.components(config)
    del parts.weights["recognition"]
    blind = small.Painter(small.SYSTEM, config, small.SYSTEM.build_painter(config, parts))
    assert "without the network" in str(LIKELIHOOD.needs(Bench(blind, small.corpus(), split="val", samples=4)))
