import subprocess
import sys
from pathlib import Path

import pytest
from tests.training import toy
from tests.training.compare import same_runs
from tests.training.kill_script import CONFIG

from limner import cli


def _kill(run: Path, kills: int, *command: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.training.kill_script", str(run), str(kills), "1", *command],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{kills} killed\n")


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    _kill(tmp_path / "killed", 8)
    toy.train(tmp_path / "plain", config=CONFIG)
    same_runs(tmp_path / "killed", tmp_path / "plain")


@pytest.mark.slow
def test_the_command_line_survives_kills(tmp_path: Path) -> None:
    shapes = str(tmp_path / "shapes")
    assert cli.main(["data", "make", "shapes", shapes, "--count", "60"]) == 0
    command = ["train", "gan-cls-debug", shapes, "--images", "160", "--tick", "16", "--threads", "1", "--out"]
    _kill(tmp_path / "killed", 8, "limner", *command, str(tmp_path / "killed"))
    assert cli.main([*command, str(tmp_path / "plain")]) == 0
    same_runs(tmp_path / "killed", tmp_path / "plain")
