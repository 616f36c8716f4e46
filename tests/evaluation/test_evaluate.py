from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.evaluation.conftest import DECIDED, TINY
from tests.evaluation.painters import tiny_painter

from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.errors import LimnerError
from limner.evaluation.bench import Bench, Sources
from limner.evaluation.evaluate import Evaluation, evaluate
from limner.evaluation.metrics import get_metric, metric_names
from limner.evaluation.oracle import Oracle
from limner.evaluation.report import save_pictures, tables
from limner.painting.painter import Painter
from limner.systems import get_system
from limner.systems.stackgan.presets import stackgan_debug
from limner.training.stage import Components

BOTH = ("faithfulness", "diversity")

MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(corpus: Corpus, oracle: Oracle) -> MakeBench:
    """A bench whose oracle is trained already."""
    def make(painter: Painter, samples: int = 2000, seed: int = 0) -> Bench:
        made = Bench(painter, corpus, samples=samples, seed=seed, sources=Sources(TINY))
        made.judges["oracle"], made.oracle = oracle.about, oracle
        return made
    return make


def _figures(evaluation: Evaluation, name: str) -> dict:
    return json.loads(json.dumps(evaluation.to_json()))["metrics"][name]


def test_one_who_paints_real_pictures_reaches_the_ceiling(corpus: Corpus, oracle: Oracle, bench: MakeBench) -> None:
    painter, by_heart = tiny_painter(corpus.split("test"), 16)
    result = evaluate(bench(painter), BOTH)
    found = _figures(result, "faithfulness")
    assert list(found["attributes"]) == sorted(DECIDED)
    # what the oracle says of paintings is what it says of the real pictures
    numbers, seen = oracle.attributes.numbers(corpus.split("test").records), oracle.judge(by_heart.pixels).seen
    for name, score in found["attributes"].items():
        column = oracle.attributes.names.index(name)
        assert score["samples"] == 200
        assert score["accuracy"] == pytest.approx((seen == numbers)[:, column].mean(), abs=0.05)
        assert score["shuffled"] == pytest.approx(score["chance"], abs=0.04)
    colour = found["attributes"]["colour"]
    assert colour["ceiling"] > 0.85
    assert colour["share_of_ceiling"] == pytest.approx(1, abs=0.1)
    assert found["undecided"] == ["ground", "ground texture"]
    diverse = _figures(result, "diversity")
    assert diverse["diversity_ratio"] is not None
    assert max(variety["total_variation"] for variety in diverse["left_open"].values()) < 0.1
    [first, second] = [request for request in by_heart.told if request.index == 0][:2]
    assert (first.seed, second.seed) == (0, 1)


def test_one_who_does_not_listen_scores_chance(corpus: Corpus, bench: MakeBench) -> None:
    painter, _ = tiny_painter(corpus.split("test"), 16, deaf=True)
    result = evaluate(bench(painter), BOTH)
    found = _figures(result, "faithfulness")
    for score in found["attributes"].values():
        assert score["accuracy"] == pytest.approx(score["chance"], abs=0.12)
        assert score["shuffled"] == pytest.approx(score["chance"], abs=0.04)
    assert found["all_attributes"]["accuracy"] == pytest.approx(0, abs=0.02)
    assert _figures(result, "diversity")["pixel_ratio"] > 1  # different things are painted for one caption


def test_the_record_repeats_itself_and_is_plain(corpus: Corpus, oracle: Oracle, bench: MakeBench) -> None:
    painter, _ = tiny_painter(corpus.split("test"), 16)
    record = json.loads(json.dumps(evaluate(bench(painter, 50, 3), BOTH).to_json()))
    assert record == json.loads(json.dumps(evaluate(bench(painter, 50, 3), BOTH).to_json()))
    assert record["judges"]["oracle"]["hash"] == oracle.hash
    assert (record["samples"], record["seed"], record["asked"]) == (50, 3, list(BOTH))
    assert [record[name] for name in ("captions", "stage", "inputs", "precision")] == ["first", None, {}, "32"]
    found = record["metrics"]
    assert (found["faithfulness"]["protocol"], found["faithfulness"]["samples"]) == ("faithfulness-1", 50)
    assert found["diversity"]["protocol"] == "diversity-1"
    other = json.loads(json.dumps(evaluate(bench(painter, 50, 4), ["faithfulness"]).to_json()))
    assert found["faithfulness"] != other["metrics"]["faithfulness"]
    with pytest.raises(LimnerError, match="at least 2"):
        bench(painter, 1)


def test_what_is_asked_for_is_measured_or_refused(corpus: Corpus, bench: MakeBench) -> None:
    painter, by_heart = tiny_painter(corpus.split("test"), 16)
    assert list(evaluate(bench(painter, 20), ["diversity", "faithfulness"]).measured) == list(BOTH)
    by_heart.told.clear()
    with pytest.raises(LimnerError, match=r"no metric 'beauty'.* faithfulness, diversity"):
        evaluate(bench(painter, 20), ["faithfulness", "beauty"])
    bare = [Record(record.file_name, record.captions) for record in corpus.split("test").records]
    without = Corpus({"test": PictureSet.from_arrays(by_heart.pixels, bare, name="test")})
    with pytest.raises(LimnerError, match=r"faithfulness cannot be measured here: .* no attributes to judge"):
        evaluate(Bench(painter, without), ["faithfulness"])
    assert by_heart.told == []  # refused before anything was painted


def test_any_caption_may_stand_for_its_picture(corpus: Corpus) -> None:
    few = PictureSet.from_arrays(corpus.split("test").pixels(16)[:40], [
        Record(f"{number}.png", (f"first {number}", f"second {number}", f"third {number}"), label=number,
               attributes={"kind": str(number % 2)}) for number in range(40)], name="test")
    data = Corpus({"test": few})
    painter, _ = tiny_painter(few, 16)
    painted = Bench(painter, data, which="any").captions
    assert painted == Bench(painter, data, which="any").captions != Bench(painter, data, which="any", seed=1).captions
    assert [caption.split()[1] for caption in painted] == [str(number) for number in range(40)]
    assert {caption.split()[0] for caption in painted} == {"first", "second", "third"}
    assert Bench(painter, data).captions == [f"first {number}" for number in range(40)]
    assert few.captions_of(0) == ["first 0", "second 0", "third 0"]  # the data itself is as it was
    with pytest.raises(LimnerError, match="first captions only"):
        evaluate(Bench(painter, data, which="any"), ["faithfulness"])
    moved = few.with_first_captions([2] * 40)
    assert moved.captions_of(1) == ["third 1", "first 1", "second 1"]
    assert moved.pixels(16) is few.pixels(16)


def test_an_earlier_picture_of_a_painting_can_be_judged(corpus: Corpus) -> None:
    config = stackgan_debug()
    parts = Components()
    for name in get_system("stackgan").stage_names(config):
        stage = get_system("stackgan").build_stage(name, config, corpus, parts, 0)
        parts = parts | stage.components(stage.modules)
    painter = Painter(get_system("stackgan"), config, get_system("stackgan").build_painter(config, parts))
    last, sketch = (Bench(painter, corpus, samples=2, stage=stage) for stage in (None, "sketch"))
    assert (last.paintings.shape, sketch.paintings.shape) == ((2, 64, 64, 3), (2, 16, 16, 3))
    assert (sketch.paintings == np.asarray([painter(caption, seed=seed).stages["sketch"]
                                            for seed, caption in enumerate(sketch.captions)])).all()
    still = Bench(painter, corpus, samples=2, inputs={"condition_noise": 0})
    assert not np.array_equal(still.paintings, last.paintings)
    assert np.array_equal(still.paintings[1], painter(still.captions[1], seed=1, condition_noise=0).array)
    with pytest.raises(LimnerError, match="no stage 'draft' to judge; it has sketch, refinement"):
        Bench(painter, corpus, samples=2, stage="draft").paintings  # noqa: B018, the error is what is wanted
    for wrong, words in (({"stage": "draft"}, "no stage 'draft'"),
                         ({"inputs": {"condition_noise": 11}}, "from 0 to 10"),
                         ({"inputs": {"style": 1}}, "takes no input 'style'")):
        bench = Bench(painter, corpus, samples=2, **wrong)  # type: ignore[arg-type]
        with pytest.raises(LimnerError, match=words):
            evaluate(bench, ["faithfulness"])
        assert "oracle" not in vars(bench)  # minutes of training that would have been for nothing
    assert evaluate(still, ["timing"]).record["inputs"] == {"condition_noise": 0}


def test_every_metric_of_the_table_is_there() -> None:
    for name in metric_names():
        assert get_metric(name).summary


def test_the_pictures_behind_the_numbers(corpus: Corpus, bench: MakeBench, tmp_path: Path) -> None:
    painter, _ = tiny_painter(corpus.split("test"), 16)
    result = evaluate(bench(painter, 40), BOTH)
    with Image.open(save_pictures(tmp_path / "grid.png", result)) as image:
        assert min(image.size) > 500
    with pytest.raises(LimnerError, match="PNG"):
        save_pictures(tmp_path / "grid.jpg", result)
    text = io.StringIO()
    Console(file=text, width=160).print(tables(result))
    for word in ("faithfulness-1", "diversity-1", "colour", "all of these", "ceiling", "total variation"):
        assert word in text.getvalue()
