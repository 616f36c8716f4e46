from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from limner.data.shapes import make_shapes
from limner.painting.painter import load
from limner.training.log import read_log


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["gan-cls-debug", "gan-cls-paper-debug"])
def test_two_processes_train_every_stage(preset: str, tmp_path: Path) -> None:
    data = make_shapes(tmp_path / "data", count=40)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "limner",
         "train", preset, str(data), "--out", str(tmp_path / "run"), "--device", "cpu", "--threads", "1",
         "--images", "32", "--tick", "16"],
        capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = read_log(tmp_path / "run" / "log.jsonl")
    assert [(line["stage"], line["images"]) for line in lines] == [
        ("text-encoder", 16), ("text-encoder", 32), ("gan", 16), ("gan", 32)]
    assert load(tmp_path / "run", device="cpu")("a red ring", seed=1).image.size == (64, 64)
