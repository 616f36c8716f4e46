"""Settings of the whole suite."""

import os
import signal

# pytest -n runs several processes: one thread in each, set before torch is imported, or they wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a suite started in the background ignores Ctrl-C, and so would the commands that it starts and interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """First weights and inputs that a test draws from torch's own generator do not depend on the tests before it."""
    torch.manual_seed(0)
