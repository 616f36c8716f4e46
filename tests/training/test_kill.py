import subprocess
import sys
from pathlib import Path

import pytest
from tests.training import toy
from tests.training.compare import same_runs
from tests.training.kill_script import CONFIG


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.training.kill_script", str(tmp_path / "killed"), "8", "1"],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 8
    toy.train(tmp_path / "plain", config=CONFIG)
    same_runs(tmp_path / "killed", tmp_path / "plain")
