"""log.jsonl, the truth of a run: one line a tick; TensorBoard files on request."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.files import no_space, write_text


class RunLog:
    """Appends lines to log.jsonl. Each is on the disk before ``append`` returns."""

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        """``tensorboard`` is the folder of TensorBoard's files, if they are wanted.

        Raises LimnerError if the package for them is missing.
        """
        self.path = path
        self._tensorboard = tensorboard
        self._writer: Any = None
        if tensorboard is not None:
            try:
                import torch.utils.tensorboard  # noqa: F401
            except ImportError:
                raise LimnerError("TensorBoard files need the package tensorboard: pip install 'limner[track]', or "
                                  "leave the option out (log.jsonl holds the same figures).") from None

    def append(self, line: dict[str, Any]) -> None:
        """Adds a line. Not-a-number becomes null, since JSON has none. Raises LimnerError on a full disk."""
        text = json.dumps(without_nan(line), ensure_ascii=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise no_space(error, self.path) or error from error
        if self._tensorboard is not None:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self._tensorboard))
            for group in ("losses", "figures"):
                for name, value in line[group].items():
                    if value is None:
                        continue
                    self._writer.add_scalar(f"{line['stage']}/{name}", value, line["images"])
            self._writer.add_scalar(f"{line['stage']}/images_per_second", line["images_per_second"], line["images"])
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last line that a killed process left unfinished is passed over."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if not text.endswith("\n"):
            break
        lines.append(json.loads(text))
    return lines


def cut_log(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Keeps the lines for which ``keep`` says so, and drops an unfinished last line."""
    if path.exists():
        write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in read_log(path) if keep(line)))


def without_nan(value: Any) -> Any:
    """The value with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
