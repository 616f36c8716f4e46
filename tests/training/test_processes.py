import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.training import toy
from tests.training.compare import log_of, tensors_of
from tests.training.processes_script import CONFIG

from limner.training.devices import _buckets


@pytest.mark.slow
def test_two_processes_train_like_one_with_the_joined_batch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
         "tests.training.processes_script", str(tmp_path / "two")],
        capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    toy.train(tmp_path / "one", config=CONFIG)
    two, one = tensors_of(tmp_path / "two"), tensors_of(tmp_path / "one")
    assert two.keys() == one.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(log_of(tmp_path / "two"), log_of(tmp_path / "one"), strict=True):
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)


def test_buckets_hold_every_gradient_once_by_type_and_size() -> None:
    large = [torch.zeros(6 * 2**20) for _ in range(3)]  # 24 MiB each
    small = [torch.zeros(3), torch.zeros(2, dtype=torch.bfloat16)]
    buckets = [[id(tensor) for tensor in bucket] for bucket in _buckets([large[0], *small, *large[1:]])]
    assert sorted(number for bucket in buckets for number in bucket) == sorted(map(id, [*large, *small]))
    assert [id(large[0]), id(small[0])] in buckets
    assert len(buckets) == 4
