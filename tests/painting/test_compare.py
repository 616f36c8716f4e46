from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.painting import toy

from limner.errors import LimnerError
from limner.painting.compare import compare, draw_comparison, in_milliseconds, save_comparison
from limner.painting.painter import Painter, load
from limner.painting.png import read_story


@pytest.fixture
def large(toy_system: None, tmp_path: Path) -> Path:
    """A second painter, whose pictures have another size."""
    config = toy.ToyConfig(size=24)
    painter = Painter(toy.SYSTEM, config, toy.ToyPainter(config, toy.fresh_components(config, seed=1)),
                      info={"name": "large toy"})
    return painter.save_pretrained(tmp_path / "large")


def test_every_cell_is_what_its_painter_paints(bundle: Path, large: Path) -> None:
    captions, seeds = ["red star", "blue ring"], [3, 5]
    told: list[tuple[str, int, int]] = []
    comparison = compare(captions, [bundle, large], seeds=seeds, device="cpu",
                         progress=lambda *report: told.append(report))
    assert comparison.rows == (("red star", 3), ("red star", 5), ("blue ring", 3), ("blue ring", 5))
    assert told == [("painters", 0, 2), ("painters", 1, 2)]
    for column, folder in zip(comparison.columns, (bundle, large), strict=True):
        alone = [load(folder, device="cpu")(caption, seed=seed) for caption, seed in comparison.rows]
        assert [painting.story for painting in column.paintings] == [painting.story for painting in alone]
        assert column.latency > 0
    assert [column.size for column in comparison.columns] == [(16, 16), (24, 24)]
    plain = comparison.to_json()
    assert [painter["label"] for painter in plain["painters"]] == ["toy", "large toy"]
    assert plain["painters"][0]["info"]["scores"] == {"accuracy": 0.5}
    assert plain["painters"][1]["paintings"][2]["caption"] == "blue ring"


def test_the_picture_shows_all_paintings_at_one_size_and_keeps_their_stories(
        bundle: Path, large: Path, tmp_path: Path) -> None:
    comparison = compare(["red star", "blue ring"], [bundle, large], device="cpu")
    path = save_comparison(tmp_path / "both.png", comparison)
    story = read_story(path)
    assert story["grid"] == {"columns": 2, "labels": ["red star", "blue ring"]}
    assert [(one["model"]["name"], one["caption"]) for one in story["paintings"]] == [
        ("toy", "red star"), ("large toy", "red star"), ("toy", "blue ring"), ("large toy", "blue ring")]
    with Image.open(path) as image:
        canvas = np.asarray(image.convert("RGB"))
    cells = np.lib.stride_tricks.sliding_window_view(canvas, (192, 192), axis=(0, 1))
    for column, factor in zip(comparison.columns, (12, 8), strict=True):
        for painting in column.paintings:
            large_one = painting.array.repeat(factor, 0).repeat(factor, 1)
            corners = (cells[..., 0, 0] == large_one[0, 0]).all(-1) & (cells[..., -1, -1] == large_one[-1, -1]).all(-1)
            places = [canvas[y:y + 192, x:x + 192] for y, x in zip(*np.nonzero(corners), strict=True)]
            assert any(np.array_equal(place, large_one) for place in places)


def test_pictures_of_any_size_are_fitted_into_their_cells(bundle: Path, large: Path) -> None:
    comparison = compare(["red star"], [bundle, large], device="cpu")
    [wide], [odd] = (column.paintings for column in comparison.columns)
    wide.image, odd.image = wide.image.resize((250, 200)), odd.image.resize((17, 17))
    canvas = np.asarray(draw_comparison(comparison))
    [(y, x)] = [(y, x) for y, x in zip(*np.nonzero((canvas == wide.array[0, 0]).all(-1)), strict=True)
                if np.array_equal(canvas[y:y + 200, x:x + 250], wide.array)]
    cell = canvas[y - 25:y + 225, x + 262:x + 512]
    assert (canvas[y - 25:y, x:x + 250] == canvas[y - 25, x]).all()
    assert abs(cell.reshape(-1, 3).mean(0) - odd.array.reshape(-1, 3).mean(0)).max() < 1


def test_painters_of_one_name_are_told_apart(bundle: Path, toy_system: None, tmp_path: Path) -> None:
    twin = load(bundle, device="cpu").save_pretrained(tmp_path / "run" / "painter")
    comparison = compare(["red"], [bundle, twin.parent], device="cpu")
    assert [column.label for column in comparison.columns] == [str(bundle), str(tmp_path / "run")]


def test_what_cannot_be_compared_is_told(bundle: Path, tmp_path: Path) -> None:
    for captions, models, words in (([], [bundle], "nothing to compare"), ([" "], [bundle], "the caption is empty"),
                                    (["red"], [bundle, bundle], "named twice"),
                                    (["red"], [tmp_path / "nowhere"], "there is no painter"),
                                    (["red"] * 5000, [bundle], "at most 4096")):
        with pytest.raises(LimnerError, match=words):
            compare(captions, models, device="cpu")
    with pytest.raises(LimnerError, match="whole number"):
        compare(["red"], [bundle], seeds=[])


def test_times_are_written_as_people_read_them() -> None:
    assert [in_milliseconds(seconds) for seconds in (0.0042, 0.0314, 2.5)] == ["4.2 ms", "31 ms", "2,500 ms"]
