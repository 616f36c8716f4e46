"""The tour, as a reader would start it, with tiny counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limner.painting.png import read_story

_TOUR = Path(__file__).parents[2] / "examples" / "tour.py"


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(_TOUR), *map(str, arguments)], text=True, capture_output=True,
                          env={**os.environ, "NO_COLOR": "1"}, timeout=600)


@pytest.mark.slow
def test_every_step_leaves_what_it_says(tmp_path: Path) -> None:
    out = tmp_path / "tour"
    done = _run(out, "--quick")
    assert done.returncode == 0, done.stderr
    for number, step in enumerate(("Data", "Training", "Painting", "Evaluation", "Comparison"), 1):
        assert f"{number}. {step}." in done.stdout
    assert (out / "data.png").is_file()
    assert len(read_story(out / "paintings.png")["paintings"]) == 24
    assert json.loads((out / "scores.json").read_text())["metrics"]["faithfulness"]["samples"] == 6
    told = read_story(out / "comparison.png")["paintings"]
    assert {painting["model"]["name"] for painting in told} == {"run", "shapes-gan-cls"}
    again = _run(out, "--quick")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert "Traceback" not in again.stderr
