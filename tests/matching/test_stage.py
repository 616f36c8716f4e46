from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.record import Record
from limner.data.shapes import shapes_arrays
from limner.errors import LimnerError
from limner.matching import stage as matching_stage
from limner.matching.config import MatchingConfig
from limner.matching.report import evaluate_run
from limner.matching.stage import MatchingStage, evaluate_matching, load_image_encoder, load_text_encoder
from limner.text.config import TextEncoderConfig
from limner.training.bundle_folder import BundleFolder, write_bundle
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.schedule import Schedule
from limner.training.settings import RunSettings
from limner.vision.config import ImageEncoderConfig

CONFIG = MatchingConfig(
    text=TextEncoderConfig(architecture="word-gru", widths=(16, 32), length=24, embedding=32),
    schedule=Schedule(images=2400, best="top1"), batch_size=24, image_size=32, image=ImageEncoderConfig(width=8),
    learning_rate=3e-3)


@cache
def corpus() -> Corpus:
    return Corpus({split: PictureSet.from_arrays(*shapes_arrays(count, size=32, split=split))
                   for split, count in (("train", 400), ("val", 100))})


def _context(step: int, images: int = 2400) -> LoopContext:
    fabric = launch(RunSettings(device="cpu", precision="32", threads=1))
    return LoopContext(fabric, 0, "text-encoder", step, step * 24, images)


def _step(stage: MatchingStage, step: int) -> dict[str, torch.Tensor]:
    return stage.step(Loader(corpus().split("train"), stage.plan, 0).batch(step), _context(step))


def _without_labels(pictures: PictureSet) -> PictureSet:
    records = [replace(record, label=None) for record in pictures.records]
    return PictureSet.from_arrays(pictures.pixels(32), records)


def _evaluated(stage: MatchingStage, pictures: PictureSet, **options: int) -> matching_stage.ZeroShotScores:
    for module in stage.modules.values():
        module.eval()
    return evaluate_matching(stage.text_encoder, stage.image_encoder, stage.tokeniser, pictures, image_size=32,
                             **options)


@pytest.mark.slow
def test_a_short_training_finds_captions_far_above_chance() -> None:
    config = replace(CONFIG, text=replace(CONFIG.text, widths=(32, 64), embedding=64),
                     image=ImageEncoderConfig(width=12), batch_size=32)
    data = Corpus({"train": PictureSet.from_arrays(*shapes_arrays(1500, size=32)), "val": corpus().split("val")})
    stage = MatchingStage(config, data, 0)
    loader = Loader(data.split("train"), stage.plan, 0)
    for step in range(300):
        losses = stage.step(loader.batch(step), _context(step, 300 * 24))
    assert losses["accuracy"] > 0.2  # chance is 1 in 32
    for module in stage.modules.values():
        module.eval()
    figures = stage.validate(_context(300), stage.modules)
    assert figures["top1"] > 0.1  # chance is 1 in about 100 classes
    assert set(figures) == {"top1"}  # classes of one picture: precision at 50 would say nothing


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_step_changes_both_encoders(symmetric: bool) -> None:
    stage = MatchingStage(replace(CONFIG, symmetric=symmetric), corpus(), 0)
    before = {name: [p.detach().clone() for p in module.parameters()] for name, module in stage.modules.items()}
    losses = _step(stage, 0)
    assert torch.isfinite(losses["loss"])
    assert 0 <= losses["accuracy"] <= 1
    for name, module in stage.modules.items():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], module.parameters(), strict=True))


def test_learning_rates_of_both_recipes() -> None:
    paper = MatchingStage(replace(CONFIG, recipe="paper", learning_rate=7e-4), corpus(), 0)
    classes = len(corpus().split("train").label_names)
    assert isinstance(paper.optimiser, torch.optim.RMSprop)
    for step, factor in ((0, 1), (classes - 1, 1), (classes, 0.98), (3 * classes, 0.98**3)):
        _step(paper, step)
        assert paper.optimiser.param_groups[0]["lr"] == pytest.approx(7e-4 * factor)
    modern = MatchingStage(CONFIG, corpus(), 0)
    for step, images, factor in ((0, 10**9, 0.01), (49, 10**9, 0.5), (500, 10**9, 1), (500, 24_000, 0.5),
                                 (1000, 24_000, 0)):
        batch = Loader(corpus().split("train"), modern.plan, 0).batch(step)
        modern.step(batch, _context(step, images))
        assert modern.optimiser.param_groups[0]["lr"] == pytest.approx(3e-3 * factor, abs=1e-8)


def test_components_bring_both_encoders_back(tmp_path: Path) -> None:
    stage = MatchingStage(CONFIG, corpus(), 0)
    _step(stage, 0)
    scores = _evaluated(stage, corpus().split("val"))
    components = stage.components(stage.modules)
    text_encoder, tokeniser = load_text_encoder(CONFIG, components)
    image_encoder = load_image_encoder(CONFIG, components)
    assert tokeniser == stage.tokeniser
    assert evaluate_matching(text_encoder, image_encoder, tokeniser, corpus().split("val"), image_size=32) == scores
    with pytest.raises(LimnerError, match="no finished text encoder"):
        evaluate_run(tmp_path, corpus().split("val"))
    write_bundle(tmp_path / "stages" / "0-text-encoder", BundleFolder("gan-cls", {}, components, {}))
    assert evaluate_run(tmp_path, corpus().split("val")) == scores


def test_figures_do_not_depend_on_the_size_of_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = MatchingStage(CONFIG, corpus(), 0)
    scores = _evaluated(stage, corpus().split("val"))
    monkeypatch.setattr(matching_stage, "_CHUNK", 7)
    assert _evaluated(stage, corpus().split("val")) == scores


def test_without_labels_every_picture_is_its_own_class() -> None:
    pictures = _without_labels(corpus().split("val"))
    stage = MatchingStage(CONFIG, Corpus({"train": _without_labels(corpus().split("train")), "val": pictures}), 0)
    assert not stage.plan.distinct_classes
    assert stage.plan.batch_size == 24
    scores = _evaluated(stage, pictures)
    assert (scores.classes, scores.images) == (100, 100)
    assert scores.precision_ceiling == pytest.approx(1 / 50)
    assert _evaluated(stage, pictures, limit=40).images == 34  # every third


def test_fewer_classes_than_rows_are_not_kept_apart() -> None:
    images, records = shapes_arrays(30, size=32)
    for classes, distinct in ((23, False), (24, True)):
        labelled = [replace(record, label=row % classes) for row, record in enumerate(records)]
        stage = MatchingStage(CONFIG, Corpus({"train": PictureSet.from_arrays(images, labelled)}), 0)
        assert stage.plan.distinct_classes is distinct
        batch = Loader(stage.pictures, stage.plan, 0).batch(0)
        assert len(batch.indices) == 24
        assert torch.isfinite(stage.step(batch, _context(0))["loss"])


def test_precision_is_told_where_classes_are_large() -> None:
    images, records = shapes_arrays(120, size=32, split="val")
    two = [replace(record, label=row % 2) for row, record in enumerate(records)]
    held_out = PictureSet.from_arrays(images, two)
    stage = MatchingStage(CONFIG, Corpus({"train": corpus().split("train"), "val": held_out}), 0)
    for module in stage.modules.values():
        module.eval()
    figures = stage.validate(_context(0), stage.modules)
    assert set(figures) == {"top1", "precision_at_50"}
    assert all(0 <= value <= 1 for value in figures.values())


def test_without_held_out_pictures_no_checkpoint_is_the_best() -> None:
    assert MatchingStage(CONFIG, corpus(), 0).schedule.best == "top1"
    stage = MatchingStage(CONFIG, Corpus({"train": corpus().split("train")}), 0)
    assert stage.schedule.best == ""
    assert stage.validate(_context(0), stage.modules) == {}


def test_words_are_counted_in_the_training_captions_only() -> None:
    images = np.zeros((4, 32, 32, 3), np.uint8)
    sets = {split: PictureSet.from_arrays(images, [Record(f"{i}.png", (f"a {word} thing",)) for i in range(4)])
            for split, word in (("train", "red"), ("val", "blue"))}
    stage = MatchingStage(replace(CONFIG, batch_size=4), Corpus(sets), 0)
    assert stage.tokeniser.unknown("a red blue thing") == ["blue"]
    with pytest.raises(LimnerError, match="No word occurs at least 5 times"):
        MatchingStage(replace(CONFIG, batch_size=4, min_count=5), Corpus(sets), 0)
