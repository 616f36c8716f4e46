"""The networks of alignDRAW: what draws (``Generator``), and what looks at a true picture (``Recognition``).

Parameters have the names and the (in, out) layout of ``x @ W + b``. The four gates of every LSTM stand in the order
input, forget, candidate, output, with one bias a gate.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.systems.aligndraw.config import CaptionConfig, DrawingConfig
from limner.systems.aligndraw.windows import Window, outline, placed_outline, placed_window, window

FIRST_WEIGHTS = 0.01
"""Standard deviation of every matrix at the start; biases start at 0 (released code)."""


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Pre-activations (..., 4U) and cells (..., U) to the new hidden state and cell."""
    entry, forget, candidate, output = gates.chunk(4, -1)
    cell = torch.addcmul(forget.sigmoid() * cell, entry.sigmoid(), candidate.tanh())
    return output.sigmoid() * cell.tanh(), cell


def matrix(before: int, after: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(before, after).normal_(0, FIRST_WEIGHTS))


def zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


def affine(before: int, after: int) -> nn.ParameterDict:
    return nn.ParameterDict({"W": matrix(before, after), "b": zeros(after)})


class Words(NamedTuple):
    """B captions as the drawing steps see them, S words each."""

    states: Tensor
    """(B, S, 2L): states of both directions, 0 at empty steps."""
    mask: Tensor
    """bool (B, S): true at words."""
    keys: Tensor
    """(B, S, A): what the alignment compares with; the same at every step."""
    gates: Tensor
    """(B, S, 4D): what each word would add to the decoder's gates if it had all the attention."""

    def rows(self, chosen: Tensor) -> Words:
        """The captions with these numbers, int64 (N,); a caption may come several times."""
        return Words(*(part[chosen] for part in self))


class Generator(nn.Module):
    """Everything that painting needs: the caption's reader, alignment, decoder LSTM, write head and learned prior.

    Args:
        drawing: sizes.
        captions: sizes of the caption's part; None for DRAW, which has no learned prior and no learned first states.
        words: rows of the word tables.
        backward: ``paper``: the second LSTM reads each caption from right to left. ``official``: as the released code
            does, it reads from left to right the caption of row B - 1 - b; for comparison with that code only, for a
            caption's states then depend on its batch.

    Draws first weights from torch's global generator: build it within ``seeded_initialisation``.
    """

    def __init__(self, drawing: DrawingConfig, captions: CaptionConfig | None, *, words: int = 0,
                 backward: Literal["paper", "official"] = "paper") -> None:
        super().__init__()
        self.drawing, self.captions, self.backward = drawing, captions, backward
        units, latent = drawing.decoder, drawing.latent
        pixels = drawing.channels * drawing.image_size**2
        self.dec = nn.ParameterDict({"W_rec": matrix(units, 4 * units), "W_z": matrix(latent, 4 * units),
                                     "b": zeros(4 * units)})
        self._free: dict[str, Any] = {"size": drawing.image_size, "count": drawing.write_size, "grid": drawing.grid}
        self._placed: dict[str, Any] | None = {
            "size": drawing.image_size, "count": drawing.write_size, "places": drawing.write_places,
            "side": drawing.write_side} if drawing.write_places else None
        if drawing.write_size:
            self.write_head = affine(units, 2 * drawing.write_places + 1 if drawing.write_places else 5)
        self.patch = affine(units, drawing.channels * drawing.write_size**2 if drawing.write_size else pixels)
        if captions is None:
            self.register_buffer("first_canvas", torch.full((1, pixels), drawing.first_canvas), persistent=False)
            return
        size, alignment = captions.units, captions.alignment
        self.lang_fwd, self.lang_bwd = (
            nn.ParameterDict({"W_in": matrix(words, 4 * size), "W_rec": matrix(size, 4 * size), "b": zeros(4 * size)})
            for _ in range(2))
        self.word_values = matrix(words, 2 * size) if captions.values == "words" else None
        self.align = nn.ParameterDict({"U": matrix(2 * size, alignment), "W": matrix(units, alignment),
                                       "b": zeros(alignment), "v": nn.Parameter(matrix(1, alignment)[0].detach())})
        self.dec["W_sent"] = matrix(2 * size, 4 * units)
        self.prior = affine(units, 2 * latent)
        self.init = nn.ParameterDict({"h_lang": zeros(1, size), "h_dec": zeros(1, units),
                                      "canvas": nn.Parameter(torch.full((1, pixels), drawing.first_canvas))})

    def start(self, rows: int) -> tuple[Tensor, Tensor]:
        """First decoder states (B, D) and canvases (B, C, H, H)."""
        drawing = self.drawing
        if self.captions is None:
            canvas = self.first_canvas
            hidden = canvas.new_zeros(1, drawing.decoder)
        else:
            hidden, canvas = self.init["h_dec"], self.init["canvas"]
        canvas = canvas.view(1, drawing.channels, drawing.image_size, drawing.image_size)
        return hidden.expand(rows, -1), canvas.expand(rows, -1, -1, -1)

    def read_captions(self, tokens: Tensor, lengths: Tensor) -> Words:
        """Captions of any lengths side by side: tokens int64 (B, S), lengths int64 (B,) from 1 to S.

        What stands beyond a caption's length changes nothing. Source: section 3.1 of the alignDRAW paper.
        """
        places = torch.arange(tokens.shape[1], device=tokens.device)
        mask = places < lengths[:, None]
        if self.backward == "paper":
            mirrored = torch.where(mask, lengths[:, None] - 1 - places, places)
            forward, backward = self._run_over_words(tokens, tokens.gather(1, mirrored))
            backward = backward.gather(1, mirrored[..., None].expand_as(backward))
        else:
            forward, backward = self._run_over_words(tokens, tokens.flip(0))
        states = torch.cat([forward, backward], -1) * mask[..., None]
        told = states if self.word_values is None else functional.embedding(tokens, self.word_values)
        return Words(states, mask, states @ self.align["U"], told @ self.dec["W_sent"])

    def _run_over_words(self, tokens: Tensor, turned: Tensor) -> Tensor:
        """Both LSTMs side by side, each over its own tokens (B, S), to states (2, B, S, L)."""
        both = (self.lang_fwd, self.lang_bwd)
        inputs = torch.stack([functional.embedding(each, part["W_in"]) + part["b"]
                              for each, part in zip((tokens, turned), both, strict=True)])
        recurrent = torch.stack([part["W_rec"] for part in both])
        hidden = self.init["h_lang"].expand(2, len(tokens), -1)
        cell = torch.zeros_like(hidden)
        states = []
        for gates in inputs.unbind(2):
            hidden, cell = lstm(torch.baddbmm(gates, hidden, recurrent).to(cell.dtype), cell)
            states.append(hidden)
        return torch.stack(states, 2)

    def write_window(self, parameters: Tensor) -> Window:
        """The write window of parameters (B, P)."""
        return placed_window(parameters, **self._placed) if self._placed else window(parameters, **self._free)

    def write_outline(self, parameters: Tensor) -> Tensor:
        """Where such a window lies (B, 4): see ``windows.outline``."""
        return placed_outline(parameters, **self._placed) if self._placed else outline(parameters, **self._free)

    def attend(self, query: Tensor, words: Words) -> Tensor:
        """Soft alignment: queries (B, A), which are ``h_dec W + b``, to weights over the words (B, S), 0 beyond the
        end. Source: equations 3 and 4 of the alignDRAW paper (additive attention)."""
        scores = torch.tanh(words.keys + query[:, None]) @ self.align["v"]
        return scores.to(words.states.dtype).masked_fill(~words.mask, -torch.inf).softmax(-1)


class Recognition(nn.Module):
    """What looks at a true picture while the generator draws it, and proposes the latent numbers of each step."""

    def __init__(self, drawing: DrawingConfig, *, learned_start: bool) -> None:
        super().__init__()
        self.drawing, self.learned_start = drawing, learned_start
        units, side = drawing.encoder, drawing.read_size or drawing.image_size
        self.glimpse_size = 2 * drawing.channels * side**2
        if drawing.read_size:
            self.read_head = affine(drawing.decoder, 5)
        self.enc = nn.ParameterDict({"W_rec": matrix(units, 4 * units), "b": zeros(4 * units),
                                     "W_in": matrix(self.glimpse_size + drawing.decoder, 4 * units)})
        self.post_mu = affine(units, drawing.latent)
        self.post_logvar = affine(units, drawing.latent)
        if learned_start:
            self.init = nn.ParameterDict({"h_enc": zeros(1, units)})

    def start(self, like: Tensor) -> Tensor:
        """First encoder states (B, E) for decoder states (B, D)."""
        if self.learned_start:
            return self.init["h_enc"].expand(len(like), -1)
        return like.new_zeros(len(like), self.drawing.encoder)
