"""What every tokeniser can do, and the way back from JSON to the right one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from limner.errors import LimnerError
from limner.text.characters import CharacterTokeniser
from limner.text.words import WordTokeniser


class Tokeniser(Protocol):
    """Captions in, index arrays out. Every text is accepted; index 0 is an empty step."""

    @property
    def length(self) -> int:
        """Steps per caption."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """The highest index, which is the ``vocabulary_size`` of the encoder."""
        ...

    def encode(self, captions: Sequence[str]) -> np.ndarray:
        """int64 ``(N, length)``."""
        ...

    def unknown(self, caption: str) -> list[str]:
        """The characters or words that the tokeniser does not know."""
        ...

    def truncates(self, caption: str) -> bool:
        """Whether the end of the caption is left out."""
        ...

    def to_json(self) -> dict[str, Any]: ...


def tokeniser_from_json(value: Any) -> CharacterTokeniser | WordTokeniser:
    """The tokeniser that wrote this object with its ``to_json``. Raises LimnerError for anything else."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "characters":
        return CharacterTokeniser.from_json(value)
    if kind == "words":
        return WordTokeniser.from_json(value)
    raise LimnerError(f"A tokeniser must be an object with the kind 'characters' or 'words', got the kind {kind!r}.")
