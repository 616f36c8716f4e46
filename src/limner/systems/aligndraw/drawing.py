"""Drawing step by step: with a true picture in view (reconstruction), or from the prior (painting).

Everything of a step that reads the decoder's hidden state (its own recurrence, read and write head, patch, alignment,
prior, its share of the encoder's gates) is one matrix product; the words' share of the decoder's gates is computed
before the first step. One pass is a loop over the steps and nothing else.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from limner.systems.aligndraw.networks import Generator, Recognition, Words, lstm
from limner.systems.aligndraw.windows import bounded, read, window, write


class Stroke(NamedTuple):
    """What one step did, for B pictures."""

    canvas: Tensor
    """(B, C, H, H): logits after the step; the picture is their sigmoid."""
    hidden: Tensor
    """h_dec (B, D)."""
    cell: Tensor
    """(B, D)."""
    latent: Tensor
    """z (B, Z)."""
    patch: Tensor
    """(B, C * N * N) before the window, or (B, C * H * H) where there is none."""
    prior_mean: Tensor
    """(B, Z)."""
    prior_log_std: Tensor
    """(B, Z)."""
    write_window: Tensor | None
    """(B, 5) or, with ``write_places`` K, (B, 2 K + 1); None without a write window."""
    alpha: Tensor | None
    """(B, S): weights of the words, or None without captions."""
    seen: Seen | None
    """What recognition did, or None when painting."""


class Seen(NamedTuple):
    """The recognition half of a step."""

    mean: Tensor
    """(B, Z) of the posterior."""
    log_variance: Tensor
    """(B, Z) of the posterior."""
    glimpse: Tensor
    """r (B, 2 * C * N * N): the picture, then the error image, through the window."""
    hidden: Tensor
    """h_enc (B, E)."""
    cell: Tensor
    """(B, E)."""
    read_window: Tensor | None
    """(B, 5), or None without a read window."""


Affine = tuple[Tensor, Tensor]
"""Weights (in, out) and bias."""


def _state_maps(generator: Generator) -> dict[str, Affine]:
    """The maps of the decoder's hidden state that the next step needs."""
    maps = {"decoder": (generator.dec["W_rec"], generator.dec["b"])}
    for name, part in (("prior", getattr(generator, "prior", None)), ("query", getattr(generator, "align", None))):
        if part is not None:
            maps[name] = part["W"], part["b"]
    return maps


def _canvas_maps(generator: Generator) -> dict[str, Affine]:
    """The maps of the decoder's hidden state to what is written."""
    maps = {"patch": (generator.patch["W"], generator.patch["b"])}
    if generator.drawing.write_size:
        maps["write"] = generator.write_head["W"], generator.write_head["b"]
    return maps


def _look_maps(recognition: Recognition) -> dict[str, Affine]:
    """The maps of the decoder's hidden state to what is read next."""
    maps = {"encoder": (recognition.enc["W_in"][recognition.glimpse_size:], recognition.enc["b"])}
    if recognition.drawing.read_size:
        maps["read"] = recognition.read_head["W"], recognition.read_head["b"]
    return maps


class _Heads:
    """Several linear maps of the decoder's hidden state, as one."""

    def __init__(self, maps: dict[str, Affine]) -> None:
        weights, biases = zip(*maps.values(), strict=True)
        self._weight, self._bias = torch.cat(weights, 1), torch.cat(biases)
        self._sizes = {name: weight.shape[1] for name, (weight, _) in maps.items()}

    def __call__(self, hidden: Tensor) -> dict[str, Tensor]:
        out = torch.addmm(self._bias, hidden, self._weight).to(hidden.dtype)
        return dict(zip(self._sizes, out.split(list(self._sizes.values()), 1), strict=True))


class _Look:
    """The recognition half of every step: error image, read, encoder, posterior."""

    def __init__(self, recognition: Recognition, pictures: Tensor, hidden: Tensor) -> None:
        self._drawing, self._pictures = recognition.drawing, pictures
        enc = recognition.enc
        self._weight = torch.cat([enc["W_in"][:recognition.glimpse_size], enc["W_rec"]])
        self._posterior = torch.cat([recognition.post_mu["W"], recognition.post_logvar["W"]], 1)
        self._bias = torch.cat([recognition.post_mu["b"], recognition.post_logvar["b"]])
        self._hidden = recognition.start(hidden)
        self._cell = torch.zeros_like(self._hidden)

    def __call__(self, canvas: Tensor, heads: dict[str, Tensor]) -> Seen:
        drawing = self._drawing
        both = torch.cat([self._pictures, self._pictures - canvas.sigmoid()], 1)
        parameters = heads.get("read")
        if parameters is None:
            glimpse = both.flatten(1)
        else:
            glimpse = read(both, window(parameters, size=drawing.image_size, count=drawing.read_size,
                                        grid=drawing.grid))
        gates = torch.addmm(heads["encoder"], torch.cat([glimpse, self._hidden], 1), self._weight)
        self._hidden, self._cell = lstm(gates.to(self._cell.dtype), self._cell)
        posterior = torch.addmm(self._bias, self._hidden, self._posterior).to(self._cell.dtype)
        mean, log_variance = posterior.chunk(2, 1)
        return Seen(mean, bounded(log_variance), glimpse, self._hidden, self._cell, parameters)


def reconstruct(generator: Generator, recognition: Recognition, pictures: Tensor, words: Words | None,
                noise: Tensor) -> list[Stroke]:
    """Draws pictures (B, C, H, H) in 0..1 that recognition sees; the strokes that the lower bound is made of.

    ``noise``, standard normal (T, B, Z), decides the number of steps. Source: section 3.2 of the alignDRAW paper.
    """
    hidden, canvas = generator.start(noise.shape[1])
    cell = torch.zeros_like(hidden)
    mean = log_std = torch.zeros_like(noise[0])
    heads_of = _Heads(_state_maps(generator) | _canvas_maps(generator) | _look_maps(recognition))
    look = _Look(recognition, pictures, hidden)
    heads = heads_of(hidden)
    strokes = []
    for chance in noise:
        seen = look(canvas, heads)
        latent = torch.addcmul(seen.mean, (seen.log_variance / 2).exp(), chance)
        hidden, cell, alpha = _decode(generator, heads, latent, cell, words)
        heads = heads_of(hidden)
        canvas = canvas + _written(generator, heads).view_as(canvas)
        strokes.append(Stroke(canvas, hidden, cell, latent, heads["patch"], mean, log_std, heads.get("write"), alpha,
                              seen))
        if "prior" in heads:
            mean, log_std = heads["prior"].tanh().chunk(2, 1)
    return strokes


class PaintingHeads:
    """The joined maps of a generator that ``generate`` needs: what paints again and again joins them once."""

    def __init__(self, generator: Generator) -> None:
        self.state, self.canvas = _Heads(_state_maps(generator)), _Heads(_canvas_maps(generator))


def generate(generator: Generator, words: Words | None, noise: Tensor, heads: PaintingHeads | None = None
             ) -> list[Stroke]:
    """Draws from the prior alone; ``noise`` standard normal (T, B, Z). Source: section 3.3 of the alignDRAW paper.

    Nothing looks at the canvas meanwhile, so all steps write at once, after the last. ``heads`` of this generator as it
    is now; None to join them here.
    """
    heads = heads or PaintingHeads(generator)
    steps, rows = noise.shape[:2]
    hidden, canvas = generator.start(rows)
    cell = torch.zeros_like(hidden)
    mean = log_std = torch.zeros_like(noise[0])
    drawn = []
    for step, chance in enumerate(noise):
        told = heads.state(hidden)
        if step and "prior" in told:
            mean, log_std = told["prior"].tanh().chunk(2, 1)
        latent = torch.addcmul(mean, log_std.exp(), chance)
        hidden, cell, alpha = _decode(generator, told, latent, cell, words)
        drawn.append((hidden, cell, latent, mean, log_std, alpha))
    written = heads.canvas(torch.cat([hidden for hidden, *_ in drawn]))
    added = _written(generator, written).view(steps, *canvas.shape)
    canvases = list(itertools.accumulate(added, initial=canvas))[1:]  # faster than one sum along the slowest dimension
    patches = written["patch"].split(rows)
    windows = written["write"].split(rows) if "write" in written else [None] * steps
    return [Stroke(canvas, hidden, cell, latent, patch, mean, log_std, place, alpha, None)
            for (hidden, cell, latent, mean, log_std, alpha), canvas, patch, place
            in zip(drawn, canvases, patches, windows, strict=True)]


def _decode(generator: Generator, heads: dict[str, Tensor], latent: Tensor, cell: Tensor, words: Words | None
            ) -> tuple[Tensor, Tensor, Tensor | None]:
    """The decoder's next states (B, D), and the weights of the words (B, S)."""
    gates, alpha = heads["decoder"], None
    if words is not None:
        alpha = generator.attend(heads["query"], words)
        gates = gates + torch.bmm(alpha[:, None], words.gates)[:, 0]
    return *lstm(torch.addmm(gates, latent, generator.dec["W_z"]).to(cell.dtype), cell), alpha


def _written(generator: Generator, heads: dict[str, Tensor]) -> Tensor:
    """What is added to the canvas: (B, C, H, H), or without a write window (B, C * H * H)."""
    if "write" not in heads:
        return heads["patch"]
    return write(heads["patch"], generator.write_window(heads["write"]), channels=generator.drawing.channels)


class Bound(NamedTuple):
    """The evidence lower bound of B pictures, in nats, as its two costs: the bound is ``-(pixels + kl.sum(0))``."""

    pixels: Tensor
    """(B,): Bernoulli negative log-likelihood of the picture under the last canvas, summed over pixels."""
    kl: Tensor
    """(T, B): divergence of the posterior from the prior at each step."""

    @property
    def cost(self) -> Tensor:
        """(B,): the negative bound, the loss of a picture."""
        return self.pixels + self.kl.sum(0)


def bound(pictures: Tensor, strokes: list[Stroke]) -> Bound:
    """One-sample lower bound of pictures (B, C, H, H) in 0..1 from the strokes of ``reconstruct``.

    Grey values between 0 and 1 make the first cost positive even for a perfect canvas. Source: equations 10 to 12 of
    the alignDRAW paper; the closed form of the divergence between two diagonal Gaussians.
    """
    logits = strokes[-1].canvas
    pixels = functional.binary_cross_entropy_with_logits(logits, pictures, reduction="none").flatten(1).sum(1)
    seen = [stroke.seen for stroke in strokes if stroke.seen is not None]
    mean, log_variance = (torch.stack([getattr(each, name) for each in seen]) for name in ("mean", "log_variance"))
    prior_mean = torch.stack([stroke.prior_mean for stroke in strokes])
    log_std = torch.stack([stroke.prior_log_std for stroke in strokes])
    spread = ((mean - prior_mean).square() + log_variance.exp()) * (-2 * log_std).exp()
    return Bound(pixels, 0.5 * (spread - 1 - log_variance + 2 * log_std).sum(-1))
