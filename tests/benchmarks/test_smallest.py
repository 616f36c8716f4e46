"""Every benchmark runs in its smallest form and prints JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limner.data.shapes import make_shapes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALLEST = {
    "training_step": ["--rounds", "1", "--width", "4", "--batch", "8", "--preset", "gan-cls-debug"],
    "painting": ["--rounds", "1", "--preset", "gan-cls-debug"],
    "loader": ["40"],
    "generated_data": ["4"],
    "text_encoders": ["--batch", "1"],
    "attngan": ["--rounds", "1", "--smallest"],
    "stackgan": ["--rounds", "1", "--width", "8", "--batch", "2", "--image-size", "128"],
    "aligndraw": ["--rows", "2", "--steps", "2", "--words", "3", "--rounds", "1", "--preset", "aligndraw-shapes"],
    "aligndraw_cost": ["--rows", "2", "--rounds", "1", "--smallest"],
    "aligndraw_attention": ["--captions", "4"],
    "recorded_steps": ["--rounds", "1", "--preset", "gan-cls-debug"],
    "wrong_captions": ["--pictures", "400", "--rows", "40"],
    "seen": ["{out}", "--data", "{data}", "--pictures", "40"],
    "side_by_side": ["{data}", "--out", "{out}", "--presets", "shapes-gan-cls", "--images", "64",
                     "--matching-images", "64", "--samples", "8",
                     "--oracle", "steps=2", "--debug"],
}


@pytest.mark.slow
def test_side_by_side_ends_with_the_one_sentence_of_a_command_that_fails(tmp_path):
    child = subprocess.run([sys.executable, BENCHMARKS / "side_by_side.py", tmp_path / "nothing", "--out", tmp_path],
                           capture_output=True, text=True, check=False)
    assert child.returncode == 2
    assert child.stderr.count("\n") == 1
    assert "nothing" in child.stderr


def test_the_smallest_forms_cover_every_benchmark():
    shared = {"turns", "straight", "steps", "run_all"}
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == SMALLEST.keys() | shared


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_form(name, tmp_path):
    options = [option.format(data=tmp_path / "data", out=tmp_path / "runs") for option in SMALLEST[name]]
    if name in ("side_by_side", "seen"):
        make_shapes(tmp_path / "data", count=120, size=64)
    if name == "seen":
        subprocess.run([sys.executable, "-m", "limner", "train", "gan-cls-debug", tmp_path / "data", "--out",
                        tmp_path / "runs"], check=True, capture_output=True)
    child = subprocess.run([sys.executable, BENCHMARKS / f"{name}.py", *options], capture_output=True, text=True,
                           env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert child.returncode == 0, child.stderr
    result = json.loads(child.stdout)
    if name == "training_step":
        assert set(result["paper"]["times as fast as straight"]) >= {"ours", "straight", "straight, all gradients"}
    if name == "painting":
        assert 0 < result["cold"]["import torch"]["seconds"] < 60
        assert result["cold"]["limner paint"]["seconds"] > result["cold"]["python alone"]["seconds"]
