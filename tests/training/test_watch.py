from pathlib import Path

import numpy as np
import pytest

from limner.errors import TrainingStopped
from limner.training.watch import CollapseWatch, check_losses, spread


def test_spread_between_and_within_pictures() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[1] = 20
    assert spread(images) == (10.0, 0.0)
    images[:, :, :2] += 6
    assert spread(images) == (10.0, 3.0)
    assert np.isnan(spread(images[:1])[0])


def test_two_bad_ticks_in_a_row_after_the_start_are_a_collapse() -> None:
    watch = CollapseWatch()
    late = {"step": 5000, "fraction": 0.5}
    assert watch.look(0.1, 30.0, **late) is None
    assert watch.look(20.0, 30.0, **late) is None
    assert watch.look(0.1, 30.0, **late) is None
    assert "the same" in str(watch.look(0.1, 30.0, **late))
    watch = CollapseWatch()
    assert watch.look(9.0, 0.2, **late) is None
    assert "one flat colour" in str(watch.look(9.0, 0.2, **late))


@pytest.mark.parametrize("early", [{"step": 100, "fraction": 0.9}, {"step": 5000, "fraction": 0.05}])
def test_alike_pictures_at_the_start_are_no_collapse(early: dict[str, float]) -> None:
    watch = CollapseWatch()
    assert [watch.look(0.0, 0.0, **early) for _ in range(3)] == [None] * 3


def test_the_diagnosis_names_the_loss_the_moment_and_the_way_back() -> None:
    check_losses({"a": 1.0, "b": -2.0}, stage="gan", images=5, last_good=None)
    with pytest.raises(TrainingStopped, match=r"'b' of stage 'gan'.*12,000 images.*runs/x.*learning rate.*precision"):
        check_losses({"a": 1.0, "b": float("nan")}, stage="gan", images=12_000, last_good=Path("runs/x"))
    with pytest.raises(TrainingStopped, match="No state was saved"):
        check_losses({"a": float("inf")}, stage="gan", images=5, last_good=None)
