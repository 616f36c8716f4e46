from __future__ import annotations

import base64
import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.conftest import TINY
from tests.evaluation.painters import tiny_painter

from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.errors import LimnerError
from limner.evaluation.bench import Bench, Sources
from limner.evaluation.evaluate import Evaluation, evaluate
from limner.evaluation.oracle import Oracle
from limner.evaluation.page import page, save_page
from limner.evaluation.report import bands


class _Reader(HTMLParser):
    """Checks that tags are closed in order, and collects what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.pictures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and value is not None:
                (self.pictures if value.startswith("data:image/png;base64,") else self.fetched).append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


@pytest.fixture
def judged(corpus: Corpus, oracle: Oracle) -> Evaluation:
    painter, _ = tiny_painter(corpus.split("test"), 16)
    bench = Bench(painter, corpus, samples=40, sources=Sources(TINY))
    bench.judges["oracle"], bench.oracle = oracle.about, oracle
    return evaluate(bench, ["faithfulness", "diversity", "fd-oracle"])


def test_a_page_is_whole_in_one_file(judged: Evaluation, tmp_path: Path) -> None:
    text = save_page(tmp_path / "page.html", judged).read_text(encoding="utf-8")
    reader = _read(text)
    assert reader.fetched == []
    assert len(reader.pictures) == 3 * 12
    gallery = judged.gallery
    assert gallery.scores is not None
    best = np.argsort(-gallery.scores, kind="stable")[0]
    with Image.open(io.BytesIO(base64.b64decode(reader.pictures[0].partition(",")[2]))) as picture:
        assert np.array_equal(np.asarray(picture), gallery.pictures[best])
    for word in ("real pictures</th>", "best of 40", "random of 40", "worst of 40", "Confusions", "fd-oracle",
                 "colour: asked for (rows)", gallery.captions[best]):
        assert word in text
    record = re.search(r"<pre>(.*?)</pre>", text, re.DOTALL)
    assert record is not None
    assert json.loads(unescape(record.group(1))) == json.loads(json.dumps(judged.to_json()))
    with pytest.raises(LimnerError, match=r"ends in \.html"):
        save_page(tmp_path / "page.pdf", judged)


def test_the_best_come_first_and_the_worst_last(judged: Evaluation) -> None:
    gallery = judged.gallery
    assert gallery.scores is not None
    shown = dict(bands(gallery, 0))
    assert gallery.scores[shown["best"]].tolist() == sorted(gallery.scores, reverse=True)[:12]
    assert gallery.scores[shown["worst"]].tolist() == sorted(gallery.scores)[:12]
    assert len(set(shown["random"].tolist())) == 12


def test_texts_of_others_are_only_text() -> None:
    records = [Record(f"{place}.png", (f"a <b>ring</b> & \"more\" {place}",)) for place in range(4)]
    pixels = np.zeros((4, 16, 16, 3), np.uint8)
    corpus = Corpus({"test": PictureSet.from_arrays(pixels, records, name="test")}, info={"name": "<script>"})
    painter, _ = tiny_painter(corpus.split("test"), 16)
    evaluation = evaluate(Bench(painter, corpus), ["timing"])
    text = page(evaluation)
    _read(text)
    assert "<b>" not in text
    assert "<script" not in text
    assert "a &lt;b&gt;ring" in text
    assert [name for name, _ in bands(evaluation.gallery, 0)] == ["random"]  # nothing ranks them
    found = evaluation.measured["timing"].record
    assert found["batch"] == 16
    assert len(found["latencies"]) == 10
    assert found["latency_seconds"] == np.median(found["latencies"])
    assert found["pictures_per_second"] == pytest.approx(16 / np.median(found["batch_seconds"]))
