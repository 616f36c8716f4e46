"""Captions whose embeddings were computed beforehand: a table on disk, looked up by the words of the caption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from limner.errors import LimnerError
from limner.files import read_json, write_json, written_atomically

_EMBEDDINGS, _CAPTIONS = "embeddings.safetensors", "captions.json"


class EmbeddingTable:
    """Captions and their embeddings, float32 (N, T).

    A caption that occurs twice has the embedding of its last row: an encoder gives equal captions equal vectors.
    Raises LimnerError if there are not as many captions as embeddings.
    """

    def __init__(self, captions: Sequence[str], embeddings: Tensor) -> None:
        if embeddings.ndim != 2 or len(captions) != len(embeddings):
            raise LimnerError(f"a table needs an embedding (a row) for each of its {len(captions)} captions, "
                              f"got {tuple(embeddings.shape)}.")
        self.captions = list(captions)
        self.embeddings = embeddings
        self._rows = {_key(caption): row for row, caption in enumerate(self.captions)}

    def __contains__(self, caption: str) -> bool:
        return _key(caption) in self._rows

    def encode(self, captions: Sequence[str]) -> Tensor:
        """Captions to embeddings (N, T). Raises LimnerError that counts and shows captions without one."""
        missing = [caption for caption in captions if caption not in self]
        if missing:
            raise LimnerError(f"{len(missing)} of {len(captions)} captions have no embedding in the table of "
                              f"{len(self.captions)} captions, for example {missing[0]!r}. Without a text encoder only "
                              "captions of the table can be read.")
        return self.embeddings[[self._rows[_key(caption)] for caption in captions]]

    def only(self, captions: Sequence[str]) -> EmbeddingTable:
        """The table of these captions alone, each once."""
        chosen = list(dict.fromkeys(captions))
        return EmbeddingTable(chosen, self.encode(chosen))

    def save(self, folder: Path) -> None:
        """Writes the table as a folder of two files."""
        with written_atomically(folder) as place:
            place.mkdir()
            save_file({"embeddings": self.embeddings.contiguous()}, place / _EMBEDDINGS)
            write_json(place / _CAPTIONS, self.captions)

    @classmethod
    def load(cls, folder: Path) -> EmbeddingTable:
        """Reads a folder that ``save`` wrote. Raises LimnerError if it is none."""
        for name in (_EMBEDDINGS, _CAPTIONS):
            if not (folder / name).is_file():
                raise LimnerError(f"{folder} is no table of embeddings: it has no {name}.")
        try:
            embeddings = load_file(folder / _EMBEDDINGS)["embeddings"]
        except (SafetensorError, KeyError) as error:
            raise LimnerError(f"{folder / _EMBEDDINGS} cannot be read ({error}); write the table again.") from None
        if not torch.isfinite(embeddings).all():
            raise LimnerError(f"{folder} holds embeddings that are not finite numbers.")
        return cls(read_json(folder / _CAPTIONS), embeddings)


def _key(caption: str) -> str:
    """Equal words with other blanks between them are the same caption."""
    return " ".join(caption.split())
