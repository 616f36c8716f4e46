from __future__ import annotations

import numpy as np
import pytest

from limner.data.record import Record
from limner.evaluation.attributes import Attributes
from limner.evaluation.diversity import PICTURES, diversity, find_groups, spread, varieties
from limner.evaluation.oracle import Verdicts
from limner.evaluation.questions import Questions

ANY = Record("a.png", ("a",))


def _group(values: list[int], features: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.zeros((len(values), 2, 2, 3), np.uint8) + np.array(values, np.uint8)[:, None, None, None]
    return pixels, np.array(features, np.float32)


def test_spread_by_hand() -> None:
    first = _group([0, 255], [[0, 0], [3, 4]])  # variance of 0 and 1 is 1/2
    second = _group([51, 51, 51], [[0, 0], [1, 0], [0, 0]])  # variance 0, distances 1, 0, 1
    result = spread([first, second])
    assert result.pixel_deviation == pytest.approx(np.sqrt(0.5 / 2))
    assert result.feature_distance == pytest.approx((5 + 2 / 3) / 2)
    against = diversity([first], [first, second], {})
    assert against.diversity_ratio == pytest.approx(5 / ((5 + 2 / 3) / 2))
    assert against.pixel_ratio == pytest.approx(np.sqrt(2))
    assert (against.captions, against.pictures, against.real_pictures) == (1, 2, 5)
    assert diversity([first], [], {}).diversity_ratio is None


def test_spread_does_not_depend_on_the_size_of_the_groups() -> None:
    rng = np.random.default_rng(0)
    pictures, features = rng.integers(0, 256, (4000, 2, 2, 3)).astype(np.uint8), rng.normal(size=(4000, 6))
    by_two = spread(list(zip(np.split(pictures, 2000), np.split(features, 2000), strict=True)))
    by_eight = spread(list(zip(np.split(pictures, 500), np.split(features, 500), strict=True)))
    assert by_two.pixel_deviation == pytest.approx(by_eight.pixel_deviation, rel=0.01)
    assert by_two.feature_distance == pytest.approx(by_eight.feature_distance, rel=0.03)


def test_groups_are_of_real_pictures_that_answer_one_demand() -> None:
    asked = np.array([[0, 1], [0, 0], [1, 0], [0, 1], [1, 1]] + [[2, 0]] * 20)
    questions = Questions([ANY] * 25, asked, np.tile([True, False], (25, 1)))  # the second does not count
    groups = find_groups(questions, 10)
    assert [len(group.real) for group in groups] == [3, 2, PICTURES]
    for group in groups:
        assert len(set(asked[group.real, 0])) == 1
        assert group.question == group.real[0]
    assert len(find_groups(questions, 2)) == 2
    alone = find_groups(questions[np.array([0, 2, 24])], 10)
    assert [(group.question, len(group.real)) for group in alone] == [(0, 0), (1, 0), (2, 0)]


def test_varieties_by_hand() -> None:
    attributes = Attributes({"shape": ("ring", "star"), "ground": ("dark", "light")})
    questions = Questions([ANY] * 4, np.array([[0, 0], [0, 1], [1, 1], [1, -1]]), np.tile([True, False], (4, 1)))

    def verdicts(grounds: list[int]) -> Verdicts:
        return Verdicts([np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], np.eye(2, dtype=np.float32)[grounds]],
                        np.zeros((4, 1), np.float32))

    found = varieties(questions, verdicts([0, 0, 0, 1]), verdicts([0, 1, 1, 1]), attributes)
    assert list(found) == ["ground"]
    assert found["ground"].samples == 3  # the ground of the last picture is unknown
    assert found["ground"].painted == {"dark": 1.0, "light": 0.0}
    assert found["ground"].real == pytest.approx({"dark": 1 / 3, "light": 2 / 3})
    assert found["ground"].total_variation == pytest.approx(2 / 3)
