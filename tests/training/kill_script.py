"""Trains in child processes and kills them with SIGKILL at random moments until one gets through.

    python -m tests.training.kill_script RUN KILLS SEED               trains the toy
    python -m tests.training.kill_script RUN KILLS SEED limner ARGUMENTS    the command line, with --resume added

A child is killed up to 40 ms after it wrote none, one or two lines of its log. Prints how many were killed. Children
are forked, so that torch is imported once.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from tests.training import toy

from limner import cli
from limner.training import loop  # noqa: F401  (imported before the fork)

CONFIG = toy.ToyConfig(images=8 * 40, tick=16)


def _train(run: Path, command: list[str]) -> int:
    resume = (run / "config.json").exists()
    if command:
        return cli.main([*command[1:], *(["--resume"] if resume else [])])
    toy.train(run, config=CONFIG, resume=resume)
    return 0


def _start(run: Path, command: list[str]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = _train(run, command)
    finally:
        os._exit(status)


def _lines(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _wait_for_lines(run: Path, more: int, child: int) -> None:
    """Returns when the log has grown so far, or the child has ended."""
    enough = _lines(run) + more
    while _lines(run) < enough and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)


def main(run: Path, kills: int, seed: int, command: list[str]) -> None:
    random = np.random.default_rng(seed)
    killed = 0
    while True:
        child = _start(run, command)
        if killed < kills:
            _wait_for_lines(run, int(random.integers(0, 3)), child)
            time.sleep(random.uniform(0.0, 0.04))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.WEXITSTATUS(status):
            sys.exit(f"a training ended with status {os.WEXITSTATUS(status)}")
        else:
            print(killed, "killed")
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
