from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.conftest import TINY
from tests.evaluation.painters import tiny_painter

from limner.data.pictures import Corpus, open_corpus
from limner.data.shapes import make_shapes
from limner.errors import LimnerError
from limner.evaluation.bench import Bench, Sources
from limner.evaluation.evaluate import evaluate
from limner.evaluation.extractors import Extractor, reference_features
from limner.evaluation.matching_model import load_matching_model, run_of
from limner.evaluation.metrics import chosen
from limner.evaluation.r_precision import caption_kinds
from limner.matching.config import MatchingConfig
from limner.matching.damsm.config import DamsmConfig, DamsmImage, DamsmText
from limner.matching.damsm.stage import DamsmStage
from limner.matching.stage import MatchingStage
from limner.text.config import TextEncoderConfig
from limner.training.bundle_folder import BundleFolder, write_bundle
from limner.training.schedule import Schedule
from limner.training.stage import Components
from limner.vision.config import ImageEncoderConfig

ONE = Schedule(images=1)
CPU = torch.device("cpu")


def _write_run(run: Path, components: Components) -> Path:
    write_bundle(run / "stages" / "0-text-encoder", BundleFolder("any", {}, components))
    return run


@pytest.fixture
def run(corpus: Corpus, tmp_path: Path) -> Path:
    """A run whose matching model has its first weights."""
    config = MatchingConfig(text=TextEncoderConfig(architecture="word-gru", widths=(8, 8), length=12, embedding=16),
                            schedule=ONE, image_size=16, image=ImageEncoderConfig(width=4))
    stage = MatchingStage(config, corpus, 0)
    return _write_run(tmp_path / "run", stage.components(stage.modules))


@pytest.fixture
def damsm_run(corpus: Corpus, tmp_path: Path) -> Path:
    config = DamsmConfig(text=DamsmText(word_size=8), schedule=ONE, image=DamsmImage(width=4), embedding=16,
                         image_size=16)
    stage = DamsmStage(config, corpus, 0)
    return _write_run(tmp_path / "damsm", stage.components(stage.modules))


def test_what_a_model_says_does_not_depend_on_company(run: Path, damsm_run: Path, corpus: Corpus,
                                                      pixels: np.ndarray) -> None:
    captions = [record.captions[0] for record in corpus.split("test").records]
    for folder in (run, damsm_run):
        bench = Bench(tiny_painter(corpus.split("test"), 16)[0], corpus, sources=Sources(judge=folder))
        extractor = bench.extractor("judge")
        together = extractor.features(pixels[:130])
        assert together.shape == (130, 16)
        for start, end in ((0, 1), (63, 66), (3, 130)):
            assert np.array_equal(extractor.features(pixels[start:end]), together[start:end])
        model = load_matching_model(folder, bench.device)
        assert np.allclose(model.captions(captions[:3]), model.captions(captions)[:3], atol=1e-6)
        assert model.about["hash"] == extractor.about["hash"]


def test_reference_features_are_kept_while_the_pictures_are_the_same(tmp_path: Path) -> None:
    folder = make_shapes(tmp_path / "shapes", count=30, size=16)
    seen: list[int] = []

    def encode(images: np.ndarray) -> np.ndarray:
        seen.append(images.shape[1])
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)

    def features(name: str = "a", size: int = 16) -> np.ndarray:
        seen.clear()
        corpus = open_corpus(folder)
        return reference_features(corpus.split("train"), corpus.root, Extractor("any", {"hash": name}, encode), size,
                                  cache_dir=None, progress=None)

    first = features()
    assert first.shape == (len(open_corpus(folder).split("train")), 5)
    assert seen == [16]
    assert np.array_equal(features(), first)
    assert seen == []
    for other in ({"name": "b"}, {"size": 8}):
        features(**other)
        assert seen
    features()
    assert seen == []  # the others lie beside it
    kept = sorted((folder / ".limner-cache").glob("features-*"))
    assert len(kept) == 3
    for path in kept:
        path.write_bytes(b"damaged")
    assert np.array_equal(features(), first)
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    picture = folder / next(line for line in map(json.loads, lines) if line["split"] == "train")["file_name"]
    picture.write_bytes(picture.read_bytes() + b"\0")
    features()
    assert seen
    assert len(list((folder / ".limner-cache").glob("features-*"))) == 1  # those of the pictures before are gone


def test_metrics_say_what_they_lack(corpus: Corpus, run: Path, tmp_path: Path) -> None:
    painter, _ = tiny_painter(corpus.split("test"), 16)
    metrics, passed_over = chosen(Bench(painter, corpus, samples=20, sources=Sources(TINY)), None)
    assert list(metrics) == ["faithfulness", "diversity", "fd-oracle", "kd-oracle", "prdc-oracle", "timing"]
    assert passed_over["fid"].startswith("give --inception")
    assert "matching stage" in passed_over["r-precision-own"]
    assert passed_over["fd-judge"] == "give --judge RUN"
    metrics, _ = chosen(Bench(painter, corpus, samples=20, sources=Sources(TINY, run=run, judge=run)), None)
    assert {"fd-own", "r-precision-own", "kd-judge", "r-precision-judge"} <= set(metrics)
    _, passed_over = chosen(Bench(painter, corpus, samples=5, sources=Sources(TINY, run=run)), None)
    assert passed_over["prdc-oracle"] == "it needs at least 12 samples and pictures"
    assert passed_over["r-precision-own"] == "it needs at least 10 samples and pictures"
    with pytest.raises(LimnerError, match="no finished matching model"):
        chosen(Bench(painter, corpus, sources=Sources(TINY, judge=tmp_path)), None)
    (tmp_path / "weights.pth").write_bytes(b"others")
    with pytest.raises(LimnerError, match="never called FID"):
        chosen(Bench(painter, corpus, sources=Sources(TINY, inception=tmp_path / "weights.pth")), ["fid"])
    for name, words in (("fid-oracle", "in other features it is fd-oracle"), ("kid-own", "it is kd-own"),
                        ("fd-inception", "it is called fid"), ("kd-inception", "it is called kid")):
        with pytest.raises(LimnerError, match=words):
            chosen(Bench(painter, corpus), [name])


def test_one_who_paints_real_pictures_is_as_near_as_they(corpus: Corpus, run: Path, damsm_run: Path) -> None:
    names = [f"{family}-{judge}" for family in ("fd", "kd", "prdc", "r-precision") for judge in ("own", "judge")]

    painter, _ = tiny_painter(corpus.split("test"), 16)
    bench = Bench(painter, corpus, sources=Sources(run=run, judge=damsm_run))
    record = json.loads(json.dumps(evaluate(bench, names).to_json()))
    found = record["metrics"]
    assert set(found) == set(names)
    assert record["judges"]["judge"]["kind"] == "damsm"
    for judge in ("own", "judge"):
        assert found[f"fd-{judge}"]["value"] < found[f"fd-{judge}"]["real"]["value"]
        assert found[f"fd-{judge}"]["samples"] == found[f"fd-{judge}"]["real_pictures"] == 200
        assert found[f"prdc-{judge}"]["coverage"] > 0.9
        assert found[f"r-precision-{judge}"]["candidates"] == 100
        assert found[f"r-precision-{judge}"]["encoder_hash"] == record["judges"][judge]["hash"]
    # the same pictures by their captions: a painting finds its caption as often as a real picture does
    for judge in ("own", "judge"):
        of_painted, of_real = found[f"r-precision-{judge}"], found[f"r-precision-{judge}"]["real"]
        assert of_painted["value"] == pytest.approx(of_real["value"], abs=0.05)
        assert found[f"r-precision-{judge}"]["shuffled"]["value"] < 0.1  # of another painting's caption; chance is 0.01
    assert found["r-precision-own"]["encoder_trained_with_the_painter"]
    assert not found["r-precision-judge"]["encoder_trained_with_the_painter"]


def test_the_painters_own_model_is_recognised(run: Path, damsm_run: Path, tmp_path: Path) -> None:
    model = load_matching_model(run, CPU)
    own = dict(model.text_weights)
    halved = {"text_encoder": {name: value.half().float() for name, value in own.items()}}
    assert model.trained_with({"generator": {}, "text_encoder": own})
    assert model.trained_with(halved)
    assert not model.trained_with({"text_encoder": {name: value + 1 for name, value in own.items()}})
    assert not load_matching_model(damsm_run, CPU).trained_with(halved)
    assert run_of(run) == run
    (run / "painter").mkdir()
    assert run_of(run / "painter") == run.resolve()
    assert run_of(tmp_path) is None


def test_rivals_are_of_another_class_or_of_other_words() -> None:
    assert caption_kinds(["a", "b", "a"], None).tolist() == [0, 1, 0]
    labels = np.array([3, 3, 4])
    assert caption_kinds(["a", "b", "a"], labels) is labels


def test_a_transformers_model_gives_its_pooled_features(corpus: Corpus, pixels: np.ndarray, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.ViTModel(transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8,
    )).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(
        {"size": {"height": 16, "width": 16}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    painter, _ = tiny_painter(corpus.split("test"), 16)
    bench = Bench(painter, corpus, samples=20, sources=Sources(pretrained=tmp_path))
    record = evaluate(bench, ["fd-pretrained"]).to_json()
    assert record["metrics"]["fd-pretrained"]["features"] == 8
    assert record["judges"]["pretrained"]["resizing"] == "bicubic to 16, antialiased"
    features = bench.extractor("pretrained").features(pixels[:20])
    assert np.array_equal(bench.extractor("pretrained").features(pixels[3:5]), features[3:5])
