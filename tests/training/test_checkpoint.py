import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.training import toy
from tests.training.compare import same_runs

from limner.errors import LimnerError
from limner.training import checkpoint
from limner.training.tensors import load_tensors, save_tensors


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], check=False,
                             capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs the rights of root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def _trained(config: toy.ToyConfig) -> toy.ToyStage:
    torch.manual_seed(0)
    stage = toy.build_stage("words", config, toy.corpus(), toy.Components(), 1)
    loss = stage.modules["head"](stage.modules["words"](torch.arange(4))).square().sum()
    loss.backward()
    stage.optimisers["adam"].step()
    return stage


def test_a_stage_comes_back_whole(tmp_path: Path) -> None:
    stage = _trained(toy.ToyConfig())
    stage.optimisers["adam"].param_groups[0]["lr"] = 0.00123
    tensors, skeletons = checkpoint.collect(stage, {}, {"loss": torch.tensor(2.5)})
    checkpoint.save(tmp_path / "c", tensors, skeletons, {"stage": "words"})
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"state.safetensors", "state.json"}
    fresh = toy.build_stage("words", toy.ToyConfig(), toy.corpus(), toy.Components(), 2)
    totals, state = checkpoint.restore(tmp_path / "c", fresh, {})
    assert totals == {"loss": torch.tensor(2.5)}
    assert state["stage"] == "words"
    ours, theirs = fresh.optimisers["adam"].state_dict(), stage.optimisers["adam"].state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert isinstance(ours["param_groups"][0]["betas"], tuple)
    for number, entry in theirs["state"].items():
        assert all(torch.equal(ours["state"][number][key], value) for key, value in entry.items())
    for name, value in stage.modules["words"].state_dict().items():
        assert torch.equal(fresh.modules["words"].state_dict()[name], value)


def test_moments_keep_the_memory_layout_of_their_parameters(tmp_path: Path) -> None:
    words = {"words": torch.nn.Embedding(4, 8).state_dict()}
    stages = [toy.build_stage("painter", toy.ToyConfig(), toy.corpus(), toy.Components(words), 1) for _ in range(2)]
    stages[0].modules["painter"](torch.randn(4, 8), torch.randn(4, 4)).square().mean().backward()
    stages[0].optimisers["adam"].step()
    checkpoint.save(tmp_path / "c", *checkpoint.collect(stages[0], {}, {}), {})
    checkpoint.restore(tmp_path / "c", stages[1], {})
    strides = [[value["exp_avg"].stride() for value in stage.optimisers["adam"].state.values()] for stage in stages]
    assert strides[0] == strides[1]
    assert not stages[0].modules["painter"].up.weight.is_contiguous()


def test_a_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", *checkpoint.collect(_trained(toy.ToyConfig()), {}, {}), {})
    with pytest.raises(LimnerError, match="does not fit the network"):
        checkpoint.restore(tmp_path / "c", _trained(toy.ToyConfig(width=9)), {})


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    stage = _trained(toy.ToyConfig())
    checkpoint.save(tmp_path / "c", *checkpoint.collect(stage, {}, {}), {})
    file = tmp_path / "c" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(LimnerError, match=r"state\.safetensors is not a whole safetensors file"):
        checkpoint.restore(tmp_path / "c", stage, {})


def test_shared_and_transposed_tensors_are_saved_as_they_read(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"a": base, "same": base, "row": base[1], "turned": base.T, "whole": torch.tensor(3)}
    save_tensors(tmp_path / "t.safetensors", tensors)
    loaded = load_tensors(tmp_path / "t.safetensors")
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], value) for name, value in tensors.items())


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    tensors = {"a": torch.ones(3), "n": torch.tensor([1]), "b": torch.tensor([0.0, torch.inf])}
    assert checkpoint.first_not_finite(tensors) == "b"
    assert checkpoint.first_not_finite({"a": torch.ones(3)}) is None


def test_a_full_disk_keeps_the_last_checkpoint_and_can_be_resumed(small_disk: Path, tmp_path: Path) -> None:
    run = small_disk / "run"
    ballast = small_disk / "ballast"
    # 4 KiB pages: enough room for the start, not for the whole training
    ballast.write_bytes(b"x" * 100_000)
    with pytest.raises(LimnerError, match="no space left on the disk while writing"):
        toy.train(run, keep=9)
    assert not [path for path in run.rglob("*") if path.suffix in (".partial", ".retired")]
    kept = list((run / "checkpoints").iterdir())
    assert kept
    for path in kept:
        load_tensors(path / "state.safetensors")
    ballast.unlink()
    toy.train(run, keep=2, resume=True)
    toy.train(tmp_path / "plain", keep=2)
    same_runs(run, tmp_path / "plain")


def test_a_full_disk_is_an_os_error_for_the_writer(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space") as raised:
        save_tensors(small_disk / "t.safetensors", {"a": torch.zeros(200_000)})
    assert raised.value.errno == errno.ENOSPC
