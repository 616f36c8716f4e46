"""What a training says where its messages go to a file."""

import pytest

from limner.training.progress import Reporter


@pytest.mark.parametrize(("images", "left"), [(400, "0:01:40"), (1_008, "0:00:00")])
def test_the_time_left_ends_at_nothing(images: int, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"stage": "gan", "images": images, "images_per_second": 6.0, "losses": {"generator": 0.25}, "figures": {}}
    with Reporter(enabled=True) as reporter:
        reporter.tick(line, 1_000)
    assert capsys.readouterr().err == (f"gan: {images:,} of 1,000 images, 6 images/s, {left} left, generator 0.25\n")
