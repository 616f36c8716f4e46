"""What was asked for, checked before any work: captions, seeds, extra inputs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from limner.errors import LimnerError
from limner.systems import get_system, system_names
from limner.systems.protocol import Request, System

LONGEST_CAPTION = 2_000
"""Characters of a caption that are kept; what is cut off is told."""


def checked_caption(caption: Any) -> tuple[str, list[str]]:
    """The caption to paint and warnings about it. Raises LimnerError for one that cannot be painted."""
    if not isinstance(caption, str):
        raise LimnerError(f"a caption must be text, got {type(caption).__name__}.")
    if not caption.strip():
        raise LimnerError("the caption is empty: say in words what to paint.")
    for place, character in enumerate(caption):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            raise LimnerError(f"the caption holds the control character U+{ord(character):04X} at position "
                              f"{place + 1}: take it out.")
    if len(caption) > LONGEST_CAPTION:
        return caption[:LONGEST_CAPTION], [f"the caption has {len(caption)} characters; only the first "
                                           f"{LONGEST_CAPTION} are read."]
    return caption, []


def checked_seeds(seed: int | Sequence[int]) -> list[int]:
    """One or several seeds as a list. Raises LimnerError."""
    seeds = [seed] if isinstance(seed, int) else list(seed) if isinstance(seed, (list, tuple, range)) else []
    if not seeds or any(isinstance(item, bool) or not isinstance(item, int) for item in seeds):
        raise LimnerError(f"seed must be a whole number or a list of them, got {seed!r}.")
    return seeds


def parsed_seeds(text: str) -> list[int]:
    """Seeds as they are written on the command line: ``7`` or ``0,1,4-6``. Raises LimnerError."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-") if not part.strip().startswith("-") else (part.strip(), "", "")
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            raise LimnerError(f"cannot read the seeds {text!r}: write 7, or 0,1,4-6.") from None
        if high < low or high - low >= 100_000:
            raise LimnerError(f"the range of seeds {part.strip()!r} must go upwards and hold at most 100000 seeds.")
        seeds += range(low, high + 1)
    return seeds


def check_inputs(system: System, inputs: Mapping[str, Any]) -> None:
    """Raises LimnerError for an input that the system does not honour, naming the systems that do."""
    for name in inputs:
        if name in system.inputs:
            continue
        able = [other for other in system_names() if name in get_system(other).inputs]
        own = ", ".join(system.inputs) or "none"
        who = f"systems that take it: {', '.join(able)}" if able else "no system takes it"
        raise LimnerError(f"{system.name} takes no input {name!r} (its inputs: {own}); {who}.")


def request_of(story: Mapping[str, Any]) -> Request:
    """The request that a story (``Painting.story``) tells of. Raises LimnerError if it cannot be made again."""
    for name, value in story["inputs"].items():
        if isinstance(value, dict) and "sha256" in value:
            raise LimnerError(f"the story names the input {name!r} only by its hash: give it again.")
    return Request(story["caption"], story["seed"], story["index"], story["inputs"])
