"""Captions as characters: the alphabet of the char-CNN-RNN encoders and the tokeniser that maps text onto it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from limner import config
from limner.errors import LimnerError

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
"""The 70 columns of the one-hot encoding, column 1 first (Reed et al., CVPR 2016, released code).

The hyphen stands in it twice. The later place wins, so "-" is 60 and index 37 is never produced.
"""

INDEX_OF = {character: index for index, character in enumerate(ALPHABET, start=1)}
"""Index 1..70 of each of the 69 distinct characters."""

_SPACE = INDEX_OF[" "]


def _table(default: int) -> np.ndarray:
    table = np.full(256, default, dtype=np.int64)
    for character, index in INDEX_OF.items():
        table[ord(character)] = index
    return table


_EMPTY_TABLE = _table(0)
_SPACE_TABLE = _table(_SPACE)


@dataclass(frozen=True)
class CharacterTokeniser:
    """Maps a caption to a fixed number of character indices; 0 is an empty step (an all-zero one-hot row).

    ``length``: steps per caption; a longer caption is cut (ask ``truncates``), a shorter one ends in zeros.
    ``lowercase``: whether A..Z are read as a..z. The encoders were trained on lower-case text; the demo of the ICML
    2016 release and the StackGAN embeddings script leave capitals alone, which makes them empty steps (``False``).
    ``unknown_as``: what a character outside the alphabet becomes.

    - ``"empty"``, the official rule: the caption is read as UTF-8 bytes and each foreign byte is one empty step, so a
      foreign character leaves two to four of them. Only ASCII capitals are lowered, as in the C locale.
    - ``"space"``, the rule of the common PyTorch port: the caption is read as characters, lowered by Unicode, and each
      foreign character is one space.
    """

    length: int = 201
    lowercase: bool = True
    unknown_as: Literal["empty", "space"] = "empty"

    def __post_init__(self) -> None:
        if self.length < 1:
            raise LimnerError(f"A character tokeniser needs a length of at least 1, got {self.length}.")
        if self.unknown_as not in ("empty", "space"):
            raise LimnerError(f"unknown_as must be 'empty' or 'space', got {self.unknown_as!r}.")

    @property
    def vocabulary_size(self) -> int:
        """The highest index; the encoder's one-hot width."""
        return len(ALPHABET)

    def encode(self, captions: Sequence[str]) -> np.ndarray:
        """The indices of each caption: int64 ``(N, length)``, values 0..70. Any text is accepted."""
        tokens = np.zeros((len(captions), self.length), dtype=np.int64)
        for row, caption in zip(tokens, captions, strict=True):
            indices = self._indices(caption[: self.length])[: self.length]
            row[: len(indices)] = indices
        return tokens

    def unknown(self, caption: str) -> list[str]:
        """Every character of the whole caption that is not in the alphabet, in reading order, repeats included."""
        if self.lowercase:
            read = caption.lower() if self.unknown_as == "space" else _ascii_lower(caption)
        else:
            read = caption
        return [character for character in read if character not in INDEX_OF]

    def truncates(self, caption: str) -> bool:
        """Whether ``encode`` leaves out the end of this caption."""
        return len(self._indices(caption)) > self.length

    def to_json(self) -> dict[str, Any]:
        return {"kind": "characters", **config.to_json(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CharacterTokeniser:
        """The inverse of ``to_json``. Raises LimnerError that names a wrong field."""
        fields = {name: item for name, item in value.items() if name != "kind"}
        return config.from_json(cls, fields, where="tokeniser")

    def _indices(self, caption: str) -> np.ndarray:
        if self.unknown_as == "empty":
            data = caption.encode("utf-8", "surrogatepass")
            return _EMPTY_TABLE[np.frombuffer(data.lower() if self.lowercase else data, dtype=np.uint8)]
        data = (caption.lower() if self.lowercase else caption).encode("utf-32-le", "surrogatepass")
        # Everything above ASCII is foreign; 255 stands for it because the table holds a space there.
        return _SPACE_TABLE[np.minimum(np.frombuffer(data, dtype="<u4"), 255)]


def _ascii_lower(caption: str) -> str:
    return caption.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
