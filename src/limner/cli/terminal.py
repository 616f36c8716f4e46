"""What the commands say on stderr: messages and progress; and how they read values."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from limner.errors import LimnerError

Bar = Callable[[str, int, int], None]


def say(message: str) -> None:
    """One message on stderr, control characters made visible."""
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in message)
    print(f"limner: {shown}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress() -> Iterator[Bar]:
    """Gives a function (title, done, total) that draws a bar on stderr if that is a terminal, and else nothing."""
    if not sys.stderr.isatty():
        yield lambda title, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def report(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bars.add_task(title, total=total)
            bars.update(tasks[title], completed=done, total=total)

        yield report


def parsed_value(text: str) -> object:
    """A value of NAME=VALUE: JSON where it is JSON (numbers, true, [1, 2]), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def inputs_of(items: Sequence[str]) -> dict[str, Any]:
    """The extra inputs of ``--input NAME=VALUE``; ``@FILE`` is a picture. Raises LimnerError."""
    return dict(_input(item) for item in items)


def _input(item: str) -> tuple[str, Any]:
    name, equals, value = item.partition("=")
    if not equals or not name:
        raise LimnerError(f"--input takes NAME=VALUE, got {item!r}.")
    if not value.startswith("@"):
        return name, parsed_value(value)
    from limner.data.decoding import decode_picture

    return name, decode_picture(Path(value[1:]))


def captions_in(path: Path | None) -> list[str]:
    """The captions of a text file, one a line, empty lines passed over. Raises LimnerError."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise LimnerError(f"cannot read the captions in {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise LimnerError(f"{path} is not a text file in UTF-8.") from None
    captions = [line for line in lines if line.strip()]
    if not captions:
        raise LimnerError(f"{path} holds no captions: write one a line.")
    return captions
