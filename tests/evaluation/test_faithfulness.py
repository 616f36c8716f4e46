from __future__ import annotations

import numpy as np
import pytest

from limner.data.pictures import PictureSet
from limner.data.record import Record
from limner.errors import LimnerError
from limner.evaluation import figures
from limner.evaluation.attributes import Attributes
from limner.evaluation.faithfulness import certainty, faithfulness
from limner.evaluation.figures import drawn
from limner.evaluation.oracle import Verdicts
from limner.evaluation.questions import Questions, questions_of

ATTRIBUTES = Attributes({"colour": ("blue", "red"), "place": ("bottom", "left", "top"), "ground": ("dark", "light")})
ANY = Record("a.png", ("a",))


def _questions(asked: list[list[int]], counts: list[list[int]]) -> Questions:
    return Questions([ANY] * len(asked), np.array(asked), np.array(counts, bool))


def _verdicts(seen: list[list[int]]) -> Verdicts:
    """The oracle is three quarters sure of what it sees."""
    tables = []
    for column, classes in enumerate(ATTRIBUTES.classes.values()):
        table = np.full((len(seen), len(classes)), 0.25 / (len(classes) - 1), np.float32)
        table[np.arange(len(seen)), [row[column] for row in seen]] = 0.75
        tables.append(table)
    return Verdicts(tables, np.zeros((len(seen), 1), np.float32))


def test_the_figures_by_hand() -> None:
    # the ground is not asked for; the place of the last picture is not named
    questions = _questions([[0, 0, 0], [1, 1, 0], [1, 2, 0], [1, 0, 0]], [[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0]])
    verdicts = _verdicts([[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 2, 1]])
    real = _questions([[0, 0, 0], [1, 1, 0], [1, 2, 1], [0, 0, 1], [0, 1, 1]], [[1, 1, 0]] * 5)
    real_verdicts = _verdicts([[0, 0, 0], [1, 1, 0], [1, 2, 1], [0, 1, 1], [1, 1, 1]])
    result = faithfulness(questions, verdicts, real, real_verdicts, ATTRIBUTES)
    assert result.samples == 4
    assert result.undecided == ("ground",)
    colour, place = result.attributes["colour"], result.attributes["place"]
    assert (colour.samples, colour.accuracy, colour.ceiling, colour.ceiling_samples) == (4, 0.75, 0.8, 5)
    assert colour.share_of_ceiling == pytest.approx(0.75 / 0.8)
    assert colour.interval == figures.interval(3, 4)
    assert colour.ceiling_interval == figures.interval(4, 5)
    assert colour.chance == pytest.approx((1 / 4) ** 2 + (3 / 4) ** 2)
    assert (place.samples, place.accuracy, place.ceiling) == (3, pytest.approx(2 / 3), 0.8)
    assert place.chance == pytest.approx(1 / 3)
    assert result.confusion["colour"] == {"blue": {"blue": 1}, "red": {"blue": 1, "red": 2}}
    assert result.confusion["place"] == {"bottom": {"bottom": 1}, "left": {"left": 1}, "top": {"left": 1}}
    # right in all that counts: the first and the last
    assert (result.all_attributes.accuracy, result.all_attributes.ceiling) == (0.5, 0.6)
    assert result.all_attributes.chance == pytest.approx(1 / 4)
    # of four, all three others are asked: every painting is judged by every other caption
    pairs = [(row, other) for row in range(4) for other in range(4) if row != other]
    seen, asked = [0, 0, 1, 1], [0, 1, 1, 1]
    assert colour.shuffled == pytest.approx(np.mean([seen[row] == asked[other] for row, other in pairs]))
    seen, asked = [0, 1, 1, 2], [0, 1, 2, 0]
    assert place.shuffled == pytest.approx(np.mean([seen[row] == asked[other] for row, other in pairs if other != 3]))


def test_without_real_pictures_there_is_no_ceiling() -> None:
    questions = _questions([[0, 0, 0], [1, 1, 0]], [[1, 1, 0]] * 2)
    nobody = Questions([], np.empty((0, 3), np.int64), np.empty((0, 3), bool))
    result = faithfulness(questions, _verdicts([[0, 0, 0], [0, 0, 0]]), nobody, _verdicts([]), ATTRIBUTES)
    score = result.attributes["colour"]
    assert (score.accuracy, score.ceiling, score.share_of_ceiling, score.ceiling_interval) == (0.5, None, None, (0, 1))


def test_pictures_whose_captions_name_nothing_are_counted() -> None:
    records = [Record("a.png", (text,), attributes={"colour": "red", "place": "top"})
               for text in ("a red ring", "a ring", "a ring at the top")]
    pictures = PictureSet.from_arrays(np.zeros((3, 8, 8, 3), np.uint8), records)
    questions, rows = questions_of(pictures, ATTRIBUTES)
    assert questions.captions == ["a red ring", "a ring at the top"]
    assert (rows.tolist(), questions.passed_over) == ([0, 2], 1)
    silent = PictureSet.from_arrays(np.zeros((1, 8, 8, 3), np.uint8), records[1:2])
    with pytest.raises(LimnerError, match="caption_attributes"):
        questions_of(silent, ATTRIBUTES)


def test_a_draw_is_without_replacement() -> None:
    places = drawn(100, 40, 3, "any")
    assert len(set(places.tolist())) == 40
    assert sorted(places) == places.tolist()
    assert not np.array_equal(places, drawn(100, 40, 4, "any"))
    assert drawn(5, 40, 3, "any").tolist() == [0, 1, 2, 3, 4]


def test_a_painting_is_as_certain_as_its_least_certain_attribute() -> None:
    questions = _questions([[0, 2, 0], [1, 0, 1]], [[1, 1, 1], [1, 1, 0]])
    # the oracle is 3/4 sure of what it sees: of the first all is right, of the second the place is wrong (1/8 left)
    sure = certainty(questions, _verdicts([[0, 2, 0], [1, 1, 0]]))
    assert sure.tolist() == pytest.approx([0.75, 0.125])
