"""How the places of a generator's map look up the words of a caption: the authors' way, and ours.

Source: as ``networks``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from limner.nn.heads import HEAD_SIZE, by_head
from limner.nn.modulation import groups_of

_WAVES = 4


class WordAttention(nn.Module):
    """Every place of a map looks up the words that matter to it (F_attn; section 3.1).

    The words are projected to the channels of the map; a place's shares of the words are the softmax of the plain dot
    products.
    """

    def __init__(self, channels: int, word_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(word_size, channels, bias=False)

    def forward(self, x: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None = None, *,
                official_mask: bool = False) -> tuple[Tensor, Tensor]:
        """Looks the words up.

        Args:
            x: (B, C, H, W).
            words: (B, D, T), zero where there is no word.
            padding: bool (B, T), true there.
            favour: (B, T), added to the products: the logarithm of how much each word counts.
            official_mask: as the authors' code does, which lays the masks out in another order than the places: place
                number r of the whole batch gets the mask of caption r modulo B. With one caption, or captions of equal
                length, the two agree. All published weights were trained so.

        Returns:
            Contexts (B, C, H, W) and shares (B, T, H, W), which sum to 1 over the words.
        """
        rows, _, height, width = x.shape
        keys = self.project(words.transpose(1, 2))
        places = x.flatten(2).transpose(1, 2)
        hidden = padding[:, None]
        if official_mask:
            order = torch.arange(rows * height * width, device=x.device) % rows
            hidden = padding[order.view(rows, height * width)]
        logits = (places @ keys.transpose(1, 2)).float()
        if favour is not None:
            logits = logits + favour[:, None]
        logits = logits.masked_fill(hidden, -torch.inf)
        shares = logits.softmax(dim=2)
        contexts = (shares.to(keys.dtype) @ keys).transpose(1, 2).unflatten(2, (height, width))
        return contexts, shares.transpose(1, 2).unflatten(2, (height, width))


class WordLookup(nn.Module):
    """Every place of a map asks the words several questions at once (ours): multi-head cross-attention with keys and
    values of their own, where ``WordAttention`` has one projection for both and one question.

    A place asks by what its map holds there and by where it is. Words are normalised, each by itself.

    Source: Vaswani et al. 2017, "Attention is all you need".
    """

    places: Tensor

    def __init__(self, channels: int, word_size: int, *, side: int, heads: int) -> None:
        super().__init__()
        size = heads * HEAD_SIZE
        self.normalisation = nn.GroupNorm(groups_of(channels), channels, affine=False)
        self.register_buffer("places", waves(side), persistent=False)
        self.ask = nn.Conv2d(channels + 2 * _WAVES, size, 1)
        self.word_normalisation = nn.LayerNorm(word_size, elementwise_affine=False)
        self.keys, self.values = (nn.Linear(word_size, size) for _ in range(2))
        self.answer = nn.Conv2d(size, channels, 1)

    def forward(self, x: Tensor, words: Tensor, padding: Tensor, favour: Tensor | None) -> tuple[Tensor, Tensor]:
        """As ``WordAttention``; the shares are the mean over the heads."""
        rows, _, side, _ = x.shape
        places = self.places.to(x.dtype).expand(rows, -1, -1, -1)
        asked = self.ask(torch.cat([self.normalisation(x), places], 1))
        words = self.word_normalisation(words.transpose(1, 2))
        keys, values = (by_head(layer(words)) for layer in (self.keys, self.values))
        queries = by_head(asked.flatten(2).transpose(1, 2))
        logits = (queries @ keys.transpose(2, 3)).float() / math.sqrt(HEAD_SIZE)
        if favour is not None:
            logits = logits + favour[:, None, None]
        shares = logits.masked_fill(padding[:, None, None], -torch.inf).softmax(dim=3)
        answers = (shares.to(values.dtype) @ values).transpose(1, 2).flatten(2)
        answers = answers.transpose(1, 2).unflatten(2, (side, side))
        answers = self.answer(answers.contiguous(memory_format=torch.channels_last))
        return answers, shares.mean(1).transpose(1, 2).unflatten(2, (side, side))


def waves(side: int) -> Tensor:
    """Where a place is, (1, 8, side, side): the slowest four cosines along rows and along columns."""
    along = (torch.arange(side) + 0.5) / side
    cosines = torch.cos(math.pi * torch.arange(1, _WAVES + 1)[:, None] * along)
    return torch.cat([cosines[:, :, None].expand(-1, -1, side), cosines[:, None].expand(-1, side, -1)])[None]
