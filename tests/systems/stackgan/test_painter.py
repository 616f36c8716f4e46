from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.systems.gan_cls.small import corpus

from limner.errors import LimnerError
from limner.painting.blend import blend_requests
from limner.painting.painter import Painter, load
from limner.systems import get_system
from limner.systems.protocol import Request
from limner.systems.stackgan.build import build_refinement_generator, build_sketch_generator
from limner.systems.stackgan.config import EmbeddingFile, StackGanConfig
from limner.systems.stackgan.presets import debug_form, stackgan_birds, stackgan_coco, stackgan_debug
from limner.text.embedding_table import EmbeddingTable
from limner.training.stage import Components, weights_of

SYSTEM = get_system("stackgan")
RED, BLUE = "a small red ring", "a large blue star"


def _components(config: StackGanConfig) -> Components:
    """Components of untrained stages, with weights so large that caption and noise are seen."""
    torch.manual_seed(0)  # of the modulated sketch's first weights, which a run draws from its seed
    components = Components()
    for name in SYSTEM.stage_names(config):
        stage = SYSTEM.build_stage(name, config, corpus(), components, 0)
        components = components | stage.components(stage.modules)
    text_factor = 1 if config.networks.whitened else 4
    for part, factor in (("text_encoder", text_factor), ("sketch", 8), ("refinement", 8)):
        for key, value in components.weights.get(part, {}).items():
            if value.ndim > 1 and "whitened" not in key:
                components.weights[part][key] = value * factor
    return components


@cache
def _painter(which: str = "debug") -> Painter:
    config = {"debug": stackgan_debug, "birds": lambda: debug_form(stackgan_birds()),
              "coco": lambda: debug_form(stackgan_coco())}[which]()
    return Painter(SYSTEM, config, SYSTEM.build_painter(config, _components(config)))


def _same(first: Any, second: Any) -> bool:
    return np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("which", ["debug", "birds", "coco"])
def test_a_painting_has_a_sketch_and_a_refinement(which: str) -> None:
    painter = _painter(which)
    painting = painter(RED, seed=1)
    assert {name: stage.size for name, stage in painting.stages.items()} == {"sketch": (16, 16),
                                                                             "refinement": (64, 64)}
    assert list(painting.stages) == ["sketch", "refinement"]
    assert _same(painting.stages["refinement"], painting.image)
    assert not _same(painting.image, painter(BLUE, seed=1).image)
    assert not _same(painting.image, painter(RED, seed=2).image)


def test_the_stream_shows_the_sketch_then_the_picture() -> None:
    painter = _painter()
    first, last = painter.stream(RED, seed=1)
    painting = painter(RED, seed=1)
    assert first.image.size == last.image.size
    assert _same(first.image.resize((16, 16), Image.Resampling.NEAREST), painting.stages["sketch"])
    assert _same(last.image, painting.image)


def test_many_pictures_refine_one_sketch() -> None:
    paintings = _painter()(RED, seed=3, images_per_caption=4, sketch_index=0)
    assert all(_same(one.stages["sketch"], paintings[0].stages["sketch"]) for one in paintings)
    assert len({one.image.tobytes() for one in paintings}) == 4
    assert _same(paintings[0].image, _painter()(RED, seed=3).image)
    usual = _painter()(RED, seed=3, images_per_caption=4)
    assert len({one.stages["sketch"].tobytes() for one in usual}) == 4


def test_without_noise_in_the_condition_the_refinement_is_a_function_of_the_sketch() -> None:
    paintings = _painter()(RED, seed=3, images_per_caption=3, sketch_index=0, condition_noise=0)
    assert len({one.image.tobytes() for one in paintings}) == 1
    assert not _same(paintings[0].image, _painter()(RED, seed=3).image)


def test_blends_go_along_the_conditioning_variable() -> None:
    painter = _painter()
    for requests, last in ((blend_requests(RED, BLUE, seed=1, steps=3), painter(BLUE, seed=1)),
                           (blend_requests(RED, seed=1, to_seed=2, steps=3), painter(RED, seed=2))):
        strip = list(painter.paint(requests))
        assert _same(strip[0].image, painter(RED, seed=1).image)
        assert _same(strip[2].image, last.image)
        assert not _same(strip[1].image, strip[0].image)
        assert not _same(strip[1].image, strip[2].image)


def test_a_picture_does_not_depend_on_its_company_however_many_rows_are_painted_together(
        monkeypatch: pytest.MonkeyPatch) -> None:
    painter = _painter()
    vector = np.linspace(-1, 1, 16, dtype=np.float32)
    requests = [Request(RED, 1, 0), Request(RED, 1, 0, {"blend": BLUE, "blend_amount": 0.3}),
                Request(BLUE, 4, 2, {"embedding": vector}), Request(BLUE, 0, 3, {"sketch_index": 1})]
    company = list(painter.paint(requests))
    for place, request in enumerate(requests):
        assert _same(next(painter.paint([request])).image, company[place].image)
    monkeypatch.setattr("limner.systems.stackgan.painter.ROWS", 4)  # other rows, other rounding
    for one, together in zip(company, painter.paint(requests), strict=True):
        assert np.abs(one.array.astype(int) - together.array).max() <= 1


@pytest.mark.parametrize(("side", "rows"), [(64, 16), (128, 4), (256, 1)])
def test_large_pictures_are_computed_in_smaller_company(side: int, rows: int) -> None:
    config = stackgan_debug()
    config = replace(config, networks=replace(config.networks, image_size=side, generator_width=16))
    generators = {"sketch": build_sketch_generator(config), "refinement": build_refinement_generator(config)}
    components = _painter().components | Components({name: weights_of(part) for name, part in generators.items()})
    painter = SYSTEM.build_painter(config, components)
    counts: list[int] = []
    paint = painter.refinement.paint  # type: ignore[attr-defined]
    painter.refinement.paint = lambda sketch, code: (counts.append(len(sketch)), paint(sketch, code))[1]  # type: ignore[attr-defined]
    assert len(painter.paint([Request(RED, 1, index) for index in range(2)])) == 2
    assert set(counts) == {rows}


@pytest.mark.parametrize(("inputs", "words"), [
    ({"sketch_index": -1}, "sketch_index must be a whole number from 0 up, got -1"),
    ({"sketch_index": True}, "got True"),
    ({"condition_noise": -0.5}, "condition_noise must be a number from 0 to 10"),
    ({"condition_noise": "much"}, "got 'much'"),
    ({"temperature": 1.5}, "temperature must be a number from 0 to 1"),
    ({"embedding": [1.0] * 15}, r"embedding must be 16 finite numbers, got float64 \(15,\)"),
    ({"embedding": [float("nan")] * 16}, "finite"),
    ({"blend_amount": 0.5}, "nothing to blend"),
    ({"style": "x.png"}, "stackgan takes no input 'style'"),
])
def test_inputs_that_cannot_be_used_are_refused(inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(LimnerError, match=words):
        _painter()(RED, **inputs)


def test_a_painter_of_sketches_alone_shows_the_sketch() -> None:
    painter = _painter()
    components = painter.components
    del components.weights["refinement"]
    sketches = Painter(SYSTEM, painter.config, SYSTEM.build_painter(painter.config, components))
    painting = sketches(RED, seed=1)
    assert _same(painting.image, painter(RED, seed=1).stages["sketch"])
    assert len(list(sketches.stream(RED, seed=1))) == 1
    with pytest.raises(LimnerError, match="no refinement yet"):
        sketches(RED, sketch_index=1)


def test_conditioning_augmentation_may_be_off() -> None:
    config = stackgan_debug()
    config = replace(config, networks=replace(config.networks, augmentation=False))
    painter = Painter(SYSTEM, config, SYSTEM.build_painter(config, _components(config)))
    first, second = painter(RED, seed=1, images_per_caption=2, sketch_index=0)
    assert _same(first.image, second.image)
    with pytest.raises(LimnerError, match="without conditioning augmentation"):
        painter(RED, condition_noise=0)


def test_a_temperature_scales_the_noise_beside_the_condition() -> None:
    painter = _painter()
    still = painter(RED, seed=1, images_per_caption=2, temperature=0, condition_noise=0)
    assert _same(still[0].image, still[1].image)
    moving = painter(RED, seed=1, images_per_caption=2, condition_noise=0)
    assert not _same(moving[0].image, moving[1].image)
    config = replace(painter.config, temperature=0.0)
    usual = Painter(SYSTEM, config, SYSTEM.build_painter(config, painter.components))
    assert _same(usual(RED, seed=1, condition_noise=0).image, still[0].image)
    assert _same(usual(RED, seed=1, condition_noise=0, temperature=1).image, moving[0].image)
    with pytest.raises(LimnerError, match="temperature must be between 0 and 1"):
        replace(config, temperature=2.0)


def test_a_table_of_embeddings_takes_the_place_of_the_text_encoder(tmp_path: Path) -> None:
    captions = sorted({*corpus().split("train").captions, *corpus().split("val").captions})
    vectors = torch.randn(len(captions), 12, generator=torch.Generator().manual_seed(0))
    EmbeddingTable(captions, vectors).save(tmp_path / "table")
    plain = replace(stackgan_debug().networks, encoder_maps=False)
    config = replace(stackgan_debug(), text=EmbeddingFile(folder=str(tmp_path / "table"), embedding=12), networks=plain)
    assert SYSTEM.stage_names(config) == ("sketch", "refinement")
    painter = Painter(SYSTEM, config, SYSTEM.build_painter(config, _components(config)))
    assert painter.components.assets["captions"] == list(dict.fromkeys(corpus().split("val").captions))
    known = corpus().split("val").captions[0]
    again = load(painter.save_pretrained(tmp_path / "bundle"), device="cpu")
    assert _same(again(known, seed=1).image, painter(known, seed=1).image)
    given = painter("any words", seed=1, embedding=vectors[captions.index(known)].numpy())
    assert _same(given.image, painter(known, seed=1).image)
    with pytest.raises(LimnerError, match=r"1 of 1 captions have no embedding.*'any words'"):
        painter("any words")
    with pytest.raises(LimnerError, match=r"have 12 numbers each; text\.embedding says 16"):
        _components(replace(config, text=EmbeddingFile(folder=str(tmp_path / "table"), embedding=16)))


def test_components_are_the_weights_that_were_given_and_hold_the_whitening_once() -> None:
    given = _components(stackgan_debug())
    kept = SYSTEM.build_painter(stackgan_debug(), given).components()
    assert kept.weights.keys() == given.weights.keys() - {"image_encoder"}
    shared = {key for key in given.weights["sketch"] if key.startswith("augmentation.whitened.")}
    assert shared
    assert kept.weights["refinement"].keys() == given.weights["refinement"].keys() - shared
    for name, weights in kept.weights.items():
        assert all(torch.equal(given.weights[name][key], value) for key, value in weights.items())


@pytest.mark.parametrize("which", ["debug", "coco"])
def test_a_bundle_paints_what_its_painter_paints(which: str, tmp_path: Path) -> None:
    painter = _painter(which)
    again = load(painter.save_pretrained(tmp_path / "bundle"), device="cpu")
    assert again.config == painter.config
    assert _same(again(RED, seed=3).image, painter(RED, seed=3).image)


def test_to_a_device_takes_every_network_along() -> None:
    painter = _painter()
    moved = SYSTEM.build_painter(painter.config, painter.components).to(torch.device("meta"))
    for network in (moved.text_encoder, moved.sketch, moved.refinement):  # type: ignore[attr-defined]
        assert {value.device.type for value in network.state_dict().values()} == {"meta"}
