"""A small word encoder of ours: states for every word, and one vector for the caption."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from limner.text.char_cnn_rnn import require_indices, require_length
from limner.text.config import TextEncoderConfig


class WordGatedEncoder(nn.Module):
    """Word embedding, bidirectional GRU over the words (never over the empty steps after them), mean, linear map.

    A caption's states and vector are the same whatever stands beside it in the batch and however long its padding is.
    """

    def __init__(self, config: TextEncoderConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens_per_caption = config.length
        self.vocabulary_size = vocabulary_size
        embedding, states = config.widths
        self.embedding = nn.Embedding(vocabulary_size + 1, embedding, padding_idx=0)
        self.recurrence = nn.GRU(embedding, states // 2, batch_first=True, bidirectional=True)
        self.projection = nn.Linear(states, config.embedding)

    def encode_words(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), int64, 0 = empty -> states (B, T, H), 0 at empty steps, and mask (B, T), true at words.

        The words of a caption end at its last non-zero token.
        """
        require_length(tokens, self.tokens_per_caption)
        require_indices(tokens, self.vocabulary_size)
        places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
        lengths = (places * (tokens != 0)).amax(dim=1)
        mask = places <= lengths.unsqueeze(1)
        # An empty caption is read as one empty step, whose state the mask then clears.
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.recurrence(packed)[0], batch_first=True, total_length=tokens.shape[1])
        return states * mask.unsqueeze(-1), mask

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), int64, 0 = empty -> caption vectors (B, D). An empty caption has the mean state 0."""
        states, mask = self.encode_words(tokens)
        words = mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.projection(states.sum(dim=1) / words)
