"""Ctrl-C and the polite kill: the step is finished and saved before the training ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType


class Interruption(contextlib.AbstractContextManager["Interruption"]):
    """While open, the first SIGINT or SIGTERM only sets ``wanted``; the second one stops at once."""

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        # Python hands signals to the main thread only; elsewhere (a studio's worker) the caller decides when to stop.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            self._restore()
            raise KeyboardInterrupt
        self.wanted = True

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)  # type: ignore[arg-type]
