"""Trains the toy in child processes and kills them with SIGKILL at random moments until one gets through.

    python -m tests.training.kill_script RUN KILLS SEED [SECONDS]

Prints how many were killed. Children are forked, so that torch is imported once.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from tests.training import toy

from limner.training import loop  # noqa: F401  (imported before the fork)

CONFIG = toy.ToyConfig(images=96, tick=16)


def _start(run: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        toy.train(run, config=CONFIG, resume=(run / "config.json").exists())
        status = 0
    finally:
        os._exit(status)


def main(run: Path, kills: int, seed: int, seconds: float) -> None:
    random = np.random.default_rng(seed)
    killed = 0
    while True:
        child = _start(run)
        if killed < kills:
            time.sleep(random.uniform(0.0, seconds))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.WEXITSTATUS(status):
            sys.exit(f"a training ended with status {os.WEXITSTATUS(status)}")
        else:
            print(killed)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]) if len(sys.argv) > 4 else 0.6)
