import os
import pickle
import zipfile

import pytest
import torch

from limner.errors import LimnerError
from limner.interop.torch_checkpoint import read_torch_checkpoint

TENSORS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(3)}


class Runs:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_both_formats(tmp_path, zipped):
    path = tmp_path / "net.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    read = read_torch_checkpoint(path)
    assert list(read) == list(TENSORS)
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_tensors_below_a_key(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"epoch": 3, "state_dict": TENSORS}, path)
    assert list(read_torch_checkpoint(path, key="state_dict")) == list(TENSORS)
    with pytest.raises(LimnerError, match=r"'epoch' \(int\), 'state_dict' \(dict\).*key="):
        read_torch_checkpoint(path)
    with pytest.raises(LimnerError, match="has no entry 'model'"):
        read_torch_checkpoint(path, key="model")


def test_parameters_come_as_tensors_without_gradient(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(dict(torch.nn.Linear(2, 2).named_parameters()), path)
    assert not any(tensor.requires_grad for tensor in read_torch_checkpoint(path).values())


@pytest.mark.parametrize("zipped", [True, False])
def test_malicious_checkpoints_are_refused_and_nothing_runs(tmp_path, zipped):
    path, mark = tmp_path / "net.pth", tmp_path / "executed"
    torch.save({"w": torch.zeros(2), "x": Runs(f"touch {mark}")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(LimnerError, match=r"posix\.system|nt\.system"):
        read_torch_checkpoint(path)
    assert not mark.exists()


def test_a_bare_malicious_pickle_is_refused(tmp_path):
    path, mark = tmp_path / "net.pth", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Runs(f"touch {mark}")))
    with pytest.raises(LimnerError):
        read_torch_checkpoint(path)
    assert not mark.exists()


def test_compressed_archives_are_refused(tmp_path):
    path, packed = tmp_path / "net.pth", tmp_path / "packed.pth"
    torch.save(TENSORS, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(LimnerError, match="compressed"):
        read_torch_checkpoint(packed)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"w": torch.zeros(1).expand(1 << 40)}, path)
    with pytest.raises(LimnerError, match="more than its storage holds"):
        read_torch_checkpoint(path)


def test_broken_files(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(TENSORS, path)
    whole = path.read_bytes()
    for data in (whole[:-30], whole[: len(whole) // 2], whole[:3], b"text", b"PK\x03\x04 not a zip"):
        path.write_bytes(data)
        with pytest.raises(LimnerError):
            read_torch_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(LimnerError, match="is empty"):
        read_torch_checkpoint(path)
    with pytest.raises(LimnerError, match="there is no file"):
        read_torch_checkpoint(tmp_path / "missing.pth")
    torch.save([torch.zeros(2)], path)
    with pytest.raises(LimnerError, match="a list"):
        read_torch_checkpoint(path)
    torch.save({3: torch.zeros(2)}, path)
    with pytest.raises(LimnerError, match="names must be strings"):
        read_torch_checkpoint(path)
