from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.errors import LimnerError
from limner.matching.damsm.scorer import DamsmScorer, r_precision_of
from limner.painting.blend import blend_requests
from limner.painting.painter import Painter
from limner.systems import get_system
from limner.systems.attngan.build import build_generator
from limner.systems.attngan.painter import AttnGanPainter
from limner.systems.attngan.presets import attngan_faces, attngan_paper_debug, debug_form
from limner.systems.protocol import Request
from limner.training.stage import Components, weights_of

SYSTEM = get_system("attngan")
CAPTION = "a small red ring"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus({"train": PictureSet.from_arrays(*shapes_arrays(24, size=64, split="train"))})


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> Components:
    """Untrained, to be exact: three sizes, the authors' mask."""
    components = Components()
    for name in ("damsm", "gan"):
        stage = SYSTEM.build_stage(name, attngan_paper_debug(), corpus, components, 0)
        components = components | stage.components(stage.modules)
    return components


@pytest.fixture(scope="module")
def painter(trained: Components) -> Painter:
    config = attngan_paper_debug()
    return Painter(SYSTEM, config, SYSTEM.build_painter(config, trained))


def test_a_painting_shows_its_stages_and_where_every_word_was_looked_up(painter: Painter) -> None:
    painting = painter(CAPTION, seed=3)
    assert [image.size for image in painting.stages.values()] == [(16, 16), (32, 32)]
    assert list(painting.attention) == ["32", "64"]
    for maps, side in zip(painting.attention.values(), (16, 32), strict=True):
        assert maps.words == ("a", "small", "red", "ring")
        assert maps.maps.shape == (4, side, side)
        np.testing.assert_allclose(maps.maps.sum(0), 1, rtol=1e-5)
    frames = list(painter.stream(CAPTION, seed=3))
    assert [frame.image.size for frame in frames] == [(16, 16), (32, 32), (64, 64)]
    assert np.array_equal(frames[-1].array, painting.array)


def test_the_painter_paints_what_the_trained_generator_does(painter: Painter, trained: Components) -> None:
    """Folding and the doubling kernels change nothing but rounding, and a saved painter has the trained weights."""
    inner = painter._painter
    assert isinstance(inner, AttnGanPainter)
    generator = build_generator(attngan_paper_debug())
    generator.load_state_dict(trained.weights["generator"])
    numbers = torch.Generator().manual_seed(0)
    gan = attngan_paper_debug().gan
    noise, condition = (torch.randn(2, size, generator=numbers) for size in (gan.noise_size, gan.condition_size))
    sentence, words, padding = (part.repeat(2, *(1,) * part.ndim) for part in inner._read(CAPTION))
    with torch.no_grad():
        expected = generator.eval()(noise, condition, sentence, words, padding)
        painted = inner.generator(noise, condition, sentence, words, padding)
    for ours, theirs in zip((*painted.images, *painted.shares), (*expected.images, *expected.shares), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    saved = painter.components.weights["generator"]
    assert all(torch.equal(saved[name], value) for name, value in trained.weights["generator"].items())


def test_a_picture_is_the_same_alone_and_in_company(painter: Painter) -> None:
    alone = painter(CAPTION, seed=3)
    company = painter([CAPTION, "two large blue squares beside a green star", "red", CAPTION], seed=3)
    assert np.array_equal(company[0].array, alone.array)
    assert np.array_equal(company[3].array, alone.array)
    assert not np.array_equal(company[1].array, alone.array)


def test_a_blend_goes_from_one_caption_to_the_other_and_looks_up_the_words_of_both(painter: Painter) -> None:
    other = "a large blue square"
    first, half, last = painter.paint(blend_requests(CAPTION, other, seed=3, steps=3))
    ends = painter([CAPTION, other], seed=3)
    for blended, end in zip((first, last), ends, strict=True):  # sums over more words: other last bits
        assert np.abs(blended.array.astype(int) - end.array).max() <= 1
    maps = half.attention["64"]
    assert maps.words == ("a", "small", "red", "ring", "a", "large", "blue", "square")
    assert maps.maps.shape == (8, 32, 32)
    np.testing.assert_allclose(maps.maps.sum(0), 1, rtol=1e-5)
    np.testing.assert_array_equal(first.attention["64"].maps[4:], 0)
    np.testing.assert_allclose(first.attention["64"].maps[:4], ends[0].attention["64"].maps, atol=1e-5)
    np.testing.assert_array_equal(last.attention["64"].maps[:4], 0)
    shares = maps.maps[4:].sum(0)
    assert shares.min() > 0.2
    assert shares.max() < 0.8
    assert not np.array_equal(half.array, first.array)
    assert not np.array_equal(half.array, last.array)


def test_a_blend_of_seeds_ends_at_its_seeds(painter: Painter) -> None:
    first, half, last = painter.paint(blend_requests(CAPTION, seed=3, to_seed=4, steps=3))
    for blended, seed in ((first, 3), (last, 4)):
        assert np.array_equal(blended.array, painter(CAPTION, seed=seed).array)
    assert not np.array_equal(half.array, first.array)


def test_a_blend_is_the_same_alone_and_in_company(painter: Painter) -> None:
    blend = Request(CAPTION, 3, 0, {"blend": "two green stars", "blend_amount": 0.3})
    requests = [Request(CAPTION, 3, 0), blend, Request("red", 1, 0, {"blend": CAPTION}), Request("red", 1, 2)]
    together = list(painter.paint(requests))
    for request, painting in zip(requests, together, strict=True):
        assert np.array_equal(painting.array, next(iter(painter.paint([request]))).array)


@pytest.mark.parametrize(("inputs", "words"), [
    ({"blend": " "}, "blend must be a second caption"),
    ({"blend_amount": 0.5}, "nothing to blend"),
    ({"complete": 0}, "has no prior over complete captions"),
    ({"temperature": -0.5}, "temperature must be a number from 0 to 1"),
])
def test_inputs_that_cannot_be_used_are_refused(painter: Painter, inputs: dict[str, object], words: str) -> None:
    with pytest.raises(LimnerError, match=words):
        painter(CAPTION, **inputs)


def test_a_temperature_scales_the_noise_beside_the_condition(painter: Painter, trained: Components) -> None:
    moving = painter(CAPTION, seed=[1, 2])
    assert not np.array_equal(moving[0].array, moving[1].array)
    config = replace(attngan_paper_debug(), temperature=0.0)
    cold = Painter(SYSTEM, config, SYSTEM.build_painter(config, trained))
    assert np.array_equal(cold(CAPTION, seed=1).array, painter(CAPTION, seed=1, temperature=0).array)
    assert np.array_equal(cold(CAPTION, seed=1, temperature=1).array, moving[0].array)
    half = painter(CAPTION, seed=1, temperature=0.5).array
    assert not any(np.array_equal(half, other.array) for other in (moving[0], cold(CAPTION, seed=1)))
    with pytest.raises(LimnerError, match="temperature must be between 0 and 1"):
        replace(config, temperature=2.0)


def test_to_a_device_takes_every_network_along_the_prior_too(corpus: Corpus) -> None:
    config, components = debug_form(attngan_faces()), Components()
    for name in SYSTEM.stage_names(config):
        stage = SYSTEM.build_stage(name, config, corpus, components, 0)
        components = components | stage.components(stage.modules)
    moved = SYSTEM.build_painter(config, components).to(torch.device("meta"))
    assert isinstance(moved, AttnGanPainter)
    assert moved.completion.prior is not None
    for network in (moved.text_encoder, moved.generator, moved.completion.prior):
        assert {value.device.type for value in network.state_dict().values()} == {"meta"}


def test_large_pictures_are_painted_one_by_one(trained: Components) -> None:
    debug = attngan_paper_debug()
    config = replace(debug, gan=replace(debug.gan, base_size=64, scale_size=0))
    weights = {**trained.weights, "generator": weights_of(build_generator(config))}
    inner = SYSTEM.build_painter(config, Components(weights, trained.assets))
    assert isinstance(inner, AttnGanPainter)
    assert inner.rows == 1
    painter = Painter(SYSTEM, config, inner)
    alone = painter(CAPTION, seed=3)
    assert alone.image.size == (256, 256)
    assert alone.attention["256"].maps.shape == (4, 128, 128)
    company = painter(["two large blue squares beside a green star", CAPTION], seed=3)
    assert np.array_equal(company[1].array, alone.array)


def test_what_cannot_be_read_is_told(painter: Painter) -> None:
    assert "zebra" in painter("a red zebra").warnings[0]
    assert painter("a red ring").warnings == ()
    assert "64 words" in painter(" ".join(["red"] * 65)).warnings[-1]
    assert painter("a red ring", blend="a red zebra").warnings == ("second caption: unknown words, left out: 'zebra'",)


def test_the_scorer_explains_and_judges(trained: Components, corpus: Corpus) -> None:
    scorer = DamsmScorer(attngan_paper_debug().damsm, trained, name="tiny")
    pictures = corpus.split("train")
    image = pictures.pixels(64)[0]
    match = scorer.explain(image, "a red zebra")
    assert match.words == ("a", "red")
    np.testing.assert_allclose(match.maps.sum((1, 2)), 1, rtol=1e-5)
    captions, vector = scorer.captions(["a red", "red", "a"]), scorer.images(image[None])
    cosines = torch.nn.functional.cosine_similarity(captions, vector)
    np.testing.assert_allclose([match.whole, *match.without], cosines, rtol=1e-4, atol=1e-6)
    assert (np.abs(match.cosines) <= 1).all()
    result = r_precision_of(scorer, pictures.pixels(64)[:20], pictures.caption_ranges[:20, 0], pictures, candidates=4,
                            folds=2)
    assert 0 <= result.value <= 1
    assert result.encoder == "tiny"


def test_the_authors_average_paints_with_the_latest_statistics(trained: Components, corpus: Corpus) -> None:
    config = attngan_paper_debug()
    for averaged, expected in ((False, 7.0), (True, 0.0)):
        changed = replace(config, gan=replace(config.gan, average_buffers=averaged))
        stage = SYSTEM.build_stage("gan", changed, corpus, trained, 0)
        average = SYSTEM.build_stage("gan", changed, corpus, trained, 0).modules["generator"]
        stage.modules["generator"].first.norm.running_mean.fill_(7.0)
        found = stage.components({"generator": average}).weights["generator"]["first.norm.running_mean"]
        assert torch.equal(found, torch.full_like(found, expected))
