from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.evaluation.conftest import DECIDED
from tests.evaluation.painters import tiny_painter

from limner.data.pictures import Corpus
from limner.errors import LimnerError
from limner.evaluation.evaluate import Evaluation, evaluate
from limner.evaluation.oracle import Oracle
from limner.evaluation.report import certainty, save_pictures, tables

Judged = Callable[..., Evaluation]


@pytest.fixture
def judged(corpus: Corpus, oracle: Oracle) -> Judged:
    return lambda painter, **options: evaluate(painter, corpus, oracle, **options)


def test_one_who_paints_real_pictures_reaches_the_ceiling(corpus: Corpus, oracle: Oracle, judged: Judged) -> None:
    painter, by_heart = tiny_painter(corpus.split("test"), 16)
    result = judged(painter)
    assert list(result.faithfulness.attributes) == sorted(DECIDED)
    # what the oracle says of paintings is what it says of the real pictures
    numbers, seen = oracle.attributes.numbers(corpus.split("test").records), oracle.judge(by_heart.pixels).seen
    for name, score in result.faithfulness.attributes.items():
        column = oracle.attributes.names.index(name)
        assert score.samples == 200
        assert score.accuracy == pytest.approx((seen == numbers)[:, column].mean(), abs=0.05)
        assert score.shuffled == pytest.approx(score.chance, abs=0.04)
    colour = result.faithfulness.attributes["colour"]
    assert colour.ceiling is not None
    assert colour.ceiling > 0.85
    assert colour.share_of_ceiling == pytest.approx(1, abs=0.1)
    assert result.faithfulness.undecided == ("ground", "ground texture")
    assert result.diversity.diversity_ratio is not None
    assert max(variety.total_variation for variety in result.diversity.left_open.values()) < 0.1
    [first, second] = [request for request in by_heart.told if request.index == 0][:2]
    assert (first.seed, second.seed) == (0, 1)


def test_one_who_does_not_listen_scores_chance(corpus: Corpus, judged: Judged) -> None:
    painter, _ = tiny_painter(corpus.split("test"), 16, deaf=True)
    result = judged(painter)
    for score in result.faithfulness.attributes.values():
        assert score.accuracy == pytest.approx(score.chance, abs=0.12)
        assert score.shuffled == pytest.approx(score.chance, abs=0.04)
    assert result.faithfulness.all_attributes.accuracy == pytest.approx(0, abs=0.02)
    assert result.diversity.pixel_ratio is not None
    assert result.diversity.pixel_ratio > 1  # different things are painted for one caption


def test_the_record_repeats_itself_and_is_plain(corpus: Corpus, oracle: Oracle, judged: Judged) -> None:
    painter, _ = tiny_painter(corpus.split("test"), 16)
    record = judged(painter, samples=50, seed=3).to_json()
    assert record == judged(painter, samples=50, seed=3).to_json()
    assert record == json.loads(json.dumps(record)) | {"faithfulness": record["faithfulness"]}
    assert record["oracle"]["hash"] == oracle.hash
    assert record["faithfulness"]["protocol"] == "faithfulness-1"
    assert record["faithfulness"]["samples"] == 50
    assert record["diversity"]["protocol"] == "diversity-1"
    assert record["faithfulness"] != judged(painter, samples=50, seed=4).to_json()["faithfulness"]
    with pytest.raises(LimnerError, match="at least 2"):
        judged(painter, samples=1)


def test_the_pictures_behind_the_numbers(corpus: Corpus, judged: Judged, tmp_path: Path) -> None:
    painter, _ = tiny_painter(corpus.split("test"), 16)
    result = judged(painter, samples=40)
    sure = certainty(result)
    questions, verdicts = result.questions, result.verdicts
    row = int(sure.argmin())
    by_hand = [verdicts.probabilities[column][row, questions.asked[row, column]]
               for column in np.flatnonzero(questions.counts[row])]
    assert sure[row] == min(by_hand)
    with Image.open(save_pictures(tmp_path / "grid.png", result)) as image:
        assert min(image.size) > 500
    with pytest.raises(LimnerError, match="PNG"):
        save_pictures(tmp_path / "grid.jpg", result)
    text = io.StringIO()
    Console(file=text, width=160).print(tables(result))
    for word in ("faithfulness-1", "diversity-1", "colour", "all of these", "ceiling", "total variation"):
        assert word in text.getvalue()
