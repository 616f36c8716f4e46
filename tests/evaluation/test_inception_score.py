from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner.errors import LimnerError
from limner.evaluation.inception_score import inception_score

GOLDEN = Path(__file__).parents[1] / "golden" / "stackgan" / "inception_score.npz"


@pytest.mark.parametrize("splits", [1, 10])
def test_the_authors_arithmetic(splits: int) -> None:
    golden = np.load(GOLDEN)
    mean, deviation = inception_score(golden["in/probs"], splits=splits)
    assert mean == pytest.approx(float(golden[f"out/splits{splits}_mean"]), rel=1e-5)
    assert deviation == pytest.approx(float(golden[f"out/splits{splits}_std"]), rel=1e-3, abs=1e-6)


def test_sure_and_even_answers_score_the_number_of_classes_and_unsure_ones_score_one() -> None:
    assert inception_score(np.tile(np.eye(4), (5, 1)), splits=1) == (pytest.approx(4), 0)
    assert inception_score(np.full((20, 4), 0.25)) == (pytest.approx(1), 0)


@pytest.mark.parametrize(("rows", "splits", "words"), [
    (np.full((5, 4), 0.25), 6, "at least as many rows as splits"), (np.ones((5, 4)), 1, "distribution"),
    (np.full(4, 0.25), 1, r"\(N, K\)"), (np.full((5, 4), np.nan), 1, "distribution"),
])
def test_what_is_no_distribution_is_refused(rows: np.ndarray, splits: int, words: str) -> None:
    with pytest.raises(LimnerError, match=words):
        inception_score(rows, splits=splits)
