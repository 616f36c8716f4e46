"""What a person sees of a training on stderr: a bar on a terminal, else a line at every tick and every minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

_LINE_SECONDS = 60.0


class Reporter:
    """Shows the progress of stages; shows nothing if not enabled."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._noted = time.monotonic()
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

    def update(self, stage: str, images: int, total: int, rate: float, losses: Mapping[str, float | None]) -> None:
        """Now and then during a stage; ``rate`` in images a second. Without a terminal a line a minute is enough."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=images, rate=f"{rate:,.0f} images/s", losses=_figures(losses))
        elif time.monotonic() - self._noted > _LINE_SECONDS:
            self._line(stage, images, total, rate, losses)

    def tick(self, line: Mapping[str, Any], total: int) -> None:
        """A line of the log."""
        stage, images, rate, losses = (line[name] for name in ("stage", "images", "images_per_second", "losses"))
        if self._bar:
            self.update(stage, images, total, rate, losses)
        else:
            self._line(stage, images, total, rate, {**losses, **line["figures"]})

    def _line(self, stage: str, images: int, total: int, rate: float, figures: Mapping[str, float | None]) -> None:
        left = max(0, total - images) / rate if rate else 0.0  # the last batch may go beyond
        self.note(f"{stage}: {images:,} of {total:,} images, {rate:,.0f} images/s, {_clock(left)} left, "
                  f"{_figures(figures)}")

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        elif self._enabled:
            print(text, file=sys.stderr, flush=True)
            self._noted = time.monotonic()


def _figures(values: Mapping[str, float | None]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items() if value is not None)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
