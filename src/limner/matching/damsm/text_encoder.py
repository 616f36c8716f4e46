"""DAMSM's text encoder: a vector for every word and one for the caption."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from limner.matching.damsm.config import DamsmText

INITIAL_RANGE = 0.1


class WordEncoder(nn.Module):
    """Word vectors, dropout, one bidirectional recurrence (LSTM or GRU).

    Args:
        vocabulary_size: V, the number of word indices 0..V-1; 0 stands where there is no word.
        embedding: length D of the results, half from each direction.

    Source: AttnGAN, section 3.2; first weights of the word vectors uniform in -0.1..0.1 as in the released code.
    """

    def __init__(self, config: DamsmText, vocabulary_size: int, embedding: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, config.word_size)
        nn.init.uniform_(self.embedding.weight, -INITIAL_RANGE, INITIAL_RANGE)
        self.dropout = nn.Dropout(config.dropout)
        kind = nn.LSTM if config.recurrence == "lstm" else nn.GRU
        self.averages = config.sentence == "mean"
        self.recurrence = kind(config.word_size, embedding // 2, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Word indices and numbers of words to word vectors and caption vectors.

        Args:
            tokens: int64 (B, T).
            lengths: int64 (B,) on the CPU, from 1 to T, in any order.

        Returns:
            Words (B, D, T), zero behind a caption's end, and captions (B, D): the last state of the forward direction,
            then that of the backward direction, which stands at the first word; or the mean of the words. float32.
        """
        x = self.dropout(self.embedding(tokens))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        # in float32 whatever the precision around: a recurrence gains nothing from bf16 on the CPU
        with torch.autocast(tokens.device.type, enabled=False):
            states, last = self.recurrence(packed)
        words, _ = pad_packed_sequence(states, batch_first=True, total_length=tokens.shape[1])
        words = words.transpose(1, 2)
        if self.averages:
            return words, words.sum(2) / lengths.to(words.device)[:, None]
        hidden = last[0] if isinstance(last, tuple) else last
        return words, hidden.transpose(0, 1).flatten(1)


def padding_of(lengths: Tensor, steps: int) -> Tensor:
    """bool (B, steps), true behind a caption's end."""
    return torch.arange(steps, device=lengths.device) >= lengths[:, None]
