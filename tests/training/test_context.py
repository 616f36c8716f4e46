import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from limner.errors import LimnerError
from limner.nn.initialisation import seeded_initialisation
from limner.precision import is_fast_in_bf16, resolve_precision
from limner.training.context import LoopContext
from limner.training.devices import resolve_device
from limner.training.settings import RunSettings


def _context(step: int = 0, phase: str = "step", seed: int = 1) -> LoopContext:
    return LoopContext(Fabric(accelerator="cpu", devices=1), seed, "gan", step, step * 8, 80, phase)


def test_noise_is_addressed() -> None:
    noise = _context().normal("z", 4, 100)
    assert noise.shape == (4, 100)
    assert noise.dtype == torch.float32
    assert abs(float(noise.mean())) < 0.2
    assert 0.8 < float(noise.std()) < 1.2
    assert torch.equal(noise, _context().normal("z", 4, 100))
    for other in (_context(step=1), _context(seed=2), _context(phase="sample")):
        assert not torch.equal(noise, other.normal("z", 4, 100))
    assert not torch.equal(noise, _context().normal("y", 4, 100))
    uniform = _context().uniform("z", 50, 3)
    assert uniform.shape == (50, 3)
    assert 0 <= float(uniform.min()) < 0.1 < 0.9 < float(uniform.max()) < 1


def test_noise_of_samples_stays_from_tick_to_tick() -> None:
    assert torch.equal(_context(1, "sample").normal("z", 4, 5), _context(9, "sample").normal("z", 4, 5))


def test_update_forgets_old_gradients() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimiser = torch.optim.SGD([weight], lr=0.5)
    (weight * 100).sum().backward()
    _context().update(optimiser, (weight * 3).sum())
    assert weight.tolist() == [1.0 - 0.5 * 3]


def test_seeded_initialisation_is_addressed_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    with seeded_initialisation(5, "net"):
        first = nn.Linear(3, 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    with seeded_initialisation(5, "net"):
        second = nn.Linear(3, 3)
    with seeded_initialisation(5, "net", 1):
        third = nn.Linear(3, 3)
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, third.weight)


def test_a_device_that_is_not_there_is_refused() -> None:
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(LimnerError, match=f"no device '{missing}'; it has .*cpu"):
        resolve_device(missing)
    assert resolve_precision("32", "cpu") == "32"
    assert resolve_precision("auto", "mps") == "32"


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"images": 0}, {"tick": -1}, {"threads": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(LimnerError, match="must be at least"):
        RunSettings(**wrong)


@pytest.mark.parametrize(("vendor", "flags", "fast"), [
    ("AuthenticAMD", "fpu avx2 avx512f avx512_bf16", True),
    ("AuthenticAMD", "fpu avx2", False),
    ("GenuineIntel", "fpu avx512f avx512_bf16", False),
    ("GenuineIntel", "fpu avx512f avx512_bf16 amx_bf16 amx_tile", True),
])
def test_bf16_only_where_the_processor_is_faster_in_it(vendor: str, flags: str, fast: bool) -> None:
    one = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\nbugs\t\t: none\n\n"
    assert is_fast_in_bf16(one + one.replace(": 0", ": 1")) is fast
    assert not is_fast_in_bf16("")
