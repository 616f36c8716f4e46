"""What a person sees of a training on stderr: a bar on a terminal, else one line a tick."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column


class Reporter:
    """Shows the progress of stages; shows nothing if not enabled."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if enabled and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=10),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f}"), TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                # What is too much for the terminal is cut from the losses.
                TextColumn("{task.fields[losses]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
                console=Console(stderr=True), refresh_per_second=4, expand=True,
            )

    def __enter__(self) -> Reporter:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, title: str, *, images: int, done: int) -> None:
        """A stage begins or goes on: ``done`` of ``images`` images were shown already."""
        if self._bar:
            self._task = self._bar.add_task(title, total=images, completed=done, rate="", losses="")
        else:
            self.note(f"{title}: {done:,} of {images:,} images" if done else f"{title}: {images:,} images")

    def update(self, images: int, rate: float, losses: Mapping[str, float | None]) -> None:
        """Now and then during a stage; ``rate`` in images a second."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=images, rate=f"{rate:,.0f} images/s", losses=_figures(losses))

    def tick(self, line: Mapping[str, Any], total: int) -> None:
        """A line of the log."""
        if self._bar:
            self.update(line["images"], line["images_per_second"], line["losses"])
            return
        left = max(0, total - line["images"])  # the last batch may go beyond
        left = left / line["images_per_second"] if line["images_per_second"] else 0.0
        figures = _figures({**line["losses"], **line["figures"]})
        rate = f"{line['images_per_second']:,.0f} images/s"
        self.note(f"{line['stage']}: {line['images']:,} of {total:,} images, {rate}, {_clock(left)} left, {figures}")

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        elif self._enabled:
            print(text, file=sys.stderr, flush=True)


def _figures(values: Mapping[str, float | None]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items() if value is not None)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
