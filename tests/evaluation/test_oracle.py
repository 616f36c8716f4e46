from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.conftest import TINY, shapes_corpus

from limner.data.pictures import Corpus, open_corpus
from limner.data.shapes import make_shapes
from limner.errors import LimnerError
from limner.evaluation.oracle import Oracle, OracleConfig
from limner.evaluation.oracle_training import find_oracle, held_out_rows


def test_a_verdict_does_not_depend_on_its_company(oracle: Oracle, pixels: np.ndarray) -> None:
    together = oracle.judge(pixels[:150])
    for start, end in ((0, 1), (70, 73), (3, 150)):
        alone = oracle.judge(pixels[start:end])
        assert np.array_equal(alone.features, together.features[start:end])
        for table, whole in zip(alone.probabilities, together.probabilities, strict=True):
            assert np.array_equal(table, whole[start:end])
    assert oracle.judge(pixels[:0]).seen.shape == (0, 7)


def test_pictures_of_any_side_are_judged(oracle: Oracle, pixels: np.ndarray) -> None:
    large = pixels[:20].repeat(3, axis=1).repeat(3, axis=2)
    colour = oracle.attributes.names.index("colour")
    assert (oracle.judge(large).seen == oracle.judge(pixels[:20]).seen)[:, colour].mean() > 0.8


def test_a_fifth_is_held_out_of_every_split(corpus: Corpus) -> None:
    rows = held_out_rows(corpus.split("test"), 0)
    assert (len(rows), len(set(rows.tolist()))) == (40, 40)
    assert not np.array_equal(rows, held_out_rows(corpus.split("test"), 1))
    assert len(held_out_rows(shapes_corpus(1, 7, 16).split("test"), 0)) == 2
    assert len(held_out_rows(shapes_corpus(1, 7, 16).split("train"), 0)) == 0


def test_the_cached_oracle_is_taken_while_the_data_is_the_same(tmp_path: Path) -> None:
    folder = make_shapes(tmp_path / "shapes", count=60, size=16)
    config = replace(TINY, steps=4)
    trained: list[int] = []

    def ready(settings: OracleConfig = config) -> Oracle:
        trained.clear()
        return find_oracle(open_corpus(folder), settings,
                           progress=lambda what, done, total: trained.append(done) if "oracle" in what else None)

    def files() -> list[Path]:
        return sorted((folder / ".limner-cache").glob("oracle-*"))

    first = ready()
    assert trained == [1, 2, 3, 4]
    again = ready()
    assert trained == []
    assert again.hash == first.hash
    [path] = files()
    path.write_bytes(b"damaged")
    assert ready().hash == first.hash
    assert trained
    ready(replace(config, seed=1))
    assert trained
    assert len(files()) == 2
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    lines[0]["attributes"]["colour"] = "red" if lines[0]["attributes"]["colour"] != "red" else "blue"
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ready().hash != first.hash
    assert trained
    assert path not in files()
    Image.new("RGB", (16, 16)).save(folder / lines[0]["file_name"])
    ready()
    assert trained
    lines[1]["text"] = ["other words"]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ready()
    assert trained == []


def test_bad_settings_are_refused() -> None:
    with pytest.raises(LimnerError, match="power of two"):
        OracleConfig(size=60)
    with pytest.raises(LimnerError, match="steps must be at least 1"):
        OracleConfig(steps=0)


@pytest.mark.slow
def test_an_oracle_learns_shapes() -> None:
    corpus = shapes_corpus(1200, 300, 32)
    oracle = find_oracle(corpus, OracleConfig(size=32, steps=150))
    pictures = corpus.split("test")
    rows = held_out_rows(pictures, 0)
    right = (oracle.judge(pictures.pixels(32)[rows]).seen == oracle.attributes.numbers(pictures.records)[rows]).mean(0)
    scores = dict(zip(oracle.attributes.names, right, strict=True))
    floors = {"colour": 0.95, "place": 0.95, "size": 0.95, "ground": 0.95, "texture": 0.55, "shape": 0.3}
    assert {name: scores[name] for name in floors if scores[name] < floors[name]} == {}
