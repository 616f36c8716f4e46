from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from limner.data.loader import Loader
from limner.data.pictures import Corpus, PictureSet
from limner.data.shapes import shapes_arrays
from limner.errors import LimnerError
from limner.matching.config import MatchingConfig
from limner.matching.damsm.config import DamsmConfig, DamsmImage, DamsmText
from limner.matching.damsm.stage import DamsmStage
from limner.matching.naming import Naming
from limner.matching.stage import MatchingStage
from limner.text.config import TextEncoderConfig
from limner.training.context import LoopContext
from limner.training.devices import launch
from limner.training.schedule import Schedule
from limner.training.settings import RunSettings
from limner.vision.config import ImageEncoderConfig
from limner.vision.encoders import SmallImageEncoder

MATCHING = MatchingConfig(
    text=TextEncoderConfig(architecture="word-gru", widths=(16, 32), length=24, embedding=32),
    schedule=Schedule(images=2400), batch_size=24, image_size=32, image=ImageEncoderConfig(width=8),
    naming_weight=1.0)
DAMSM = DamsmConfig(schedule=Schedule(images=2400), text=DamsmText(word_size=16, dropout=0.0),
                    image=DamsmImage(width=8), embedding=32, batch_size=24, image_size=32, naming_weight=1.0)


@cache
def corpus() -> Corpus:
    return Corpus({"train": PictureSet.from_arrays(*shapes_arrays(200, size=32))})


def _built(config: Any) -> Any:
    return (MatchingStage if isinstance(config, MatchingConfig) else DamsmStage)(config, corpus(), 0)


def _steps(stage: Any, count: int) -> list[dict[str, torch.Tensor]]:
    fabric = launch(RunSettings(device="cpu", precision="32", threads=1))
    loader = Loader(corpus().split("train"), stage.plan, 0)
    return [stage.step(loader.batch(step), LoopContext(fabric, 0, "s", step, 24 * step, 2400)) for step in range(count)]


def _naming() -> Naming[torch.Tensor]:
    tokens = np.array([[1, 3, 0], [1, 1, 0], [2, 0, 0], [0, 0, 0]])
    return Naming(SmallImageEncoder(image_size=8, width=2, embedding=3), tokens, np.array([[0, 2], [2, 3], [3, 4]]),
                  words=3, seed=0)


def test_a_picture_has_the_words_of_all_its_captions() -> None:
    assert _naming().of(torch.tensor([1, 0, 2])).tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [math.log(3), -math.log(3), 0.0]])
    # every word of the first at 1/2, and of the second at 3/4, 3/4 and 1/2
    expected = (4 * math.log(2) + 2 * math.log(4 / 3)) / 2
    assert _naming().loss(logits, torch.tensor([1, 0])).item() == pytest.approx(expected)


def test_a_word_is_told_from_every_place_and_from_the_largest_value() -> None:
    naming, images = _naming(), torch.randn(2, 3, 8, 8)
    encoder = naming._encoder
    vectors, logits = naming.see(images)
    assert torch.equal(vectors, encoder.read(encoder.maps(images)))
    last = encoder.maps(images)[-1]
    assert last.shape == (2, 2, 4, 4)
    weight, bias = naming.namer.weight, naming.namer.bias
    of_places = torch.einsum("bcij,wcij->bw", last, weight[:, :32].unflatten(1, (2, 4, 4)))
    torch.testing.assert_close(logits, of_places + last.amax((2, 3)) @ weight[:, 32:].T + bias)


@pytest.mark.parametrize("config", [MATCHING, DAMSM])
def test_naming_is_learnt_and_stays_in_the_stage(config: Any) -> None:
    stage = _built(config)
    losses = _steps(stage, 30)
    assert losses[-1]["naming"] < 0.85 * losses[0]["naming"]
    assert set(stage.components(stage.modules).weights) == {"text_encoder", "image_encoder"}
    assert "namer" not in stage.averaged


@pytest.mark.parametrize("config", [MATCHING, DAMSM])
def test_naming_changes_the_image_encoder_and_not_the_text_encoder(config: Any) -> None:
    stages = [_built(replace(config, naming_weight=weight)) for weight in (0.0, 1.0)]
    for stage in stages:
        assert ("namer" in stage.modules) == (stage is stages[1])
        _steps(stage, 1)
    plain, named = ({name: [p.detach() for p in stage.modules[name].parameters()] for name in stage.averaged}
                    for stage in stages)
    assert all(torch.equal(a, b) for a, b in zip(plain["text_encoder"], named["text_encoder"], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(plain["image_encoder"], named["image_encoder"], strict=True))


def test_what_has_no_maps_or_no_words_cannot_name() -> None:
    for changes in ({"naming_weight": -1.0}, {"image": ImageEncoderConfig(architecture="pretrained", pretrained="x")},
                    {"text": TextEncoderConfig(architecture="char-cnn-rnn", widths=(8, 8, 8), length=201)}):
        with pytest.raises(LimnerError, match="naming_weight"):
            replace(MATCHING, **changes)
    for changes in ({"naming_weight": -1.0}, {"image": DamsmImage(architecture="inception"), "image_size": 299}):
        with pytest.raises(LimnerError, match="naming_weight"):
            replace(DAMSM, **changes)
