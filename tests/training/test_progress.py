"""What a training says where its messages go to a file."""

import pytest

from limner.training import progress
from limner.training.progress import Reporter


@pytest.mark.parametrize(("images", "left"), [(400, "0:01:40"), (1_008, "0:00:00")])
def test_the_time_left_ends_at_nothing(images: int, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"stage": "gan", "images": images, "images_per_second": 6.0, "losses": {"generator": 0.25}, "figures": {}}
    with Reporter(enabled=True) as reporter:
        reporter.tick(line, 1_000)
    assert capsys.readouterr().err == (f"gan: {images:,} of 1,000 images, 6 images/s, {left} left, generator 0.25\n")


def test_between_ticks_a_line_a_minute(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 59.0, 61.0, 61.0, 70.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    with Reporter(enabled=True) as reporter:
        for images in (100, 200, 300):
            reporter.update("gan", images, 1_000, 10.0, {"generator": 0.25})
    assert capsys.readouterr().err == "gan: 200 of 1,000 images, 10 images/s, 0:01:20 left, generator 0.25\n"
