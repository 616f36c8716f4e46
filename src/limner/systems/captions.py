"""What adversarial stages do with captions: embed them once, and show and score pictures of held-out ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from limner.data.batch import as_float, as_uint8
from limner.data.pictures import Corpus, PictureSet
from limner.errors import LimnerError
from limner.matching.config import MatchingConfig
from limner.matching.stage import caption_reader, load_image_encoder
from limner.randomness import normal, stream
from limner.text.overlap import WordOverlap
from limner.text.tokenisers import Tokeniser
from limner.training.stage import Components, Samples, StepContext
from limner.vision.encoders import SmallImageEncoder, resized

_ROWS, _COLUMNS = 8, 8
_JUDGED, _CANDIDATES = 256, 32
_WRONG_POOL = 512
_CHUNK = 32

Paint = Callable[[Tensor, Tensor], Tensor]
"""Noise (B, nz) and embeddings (B, D) to pictures (B, 3, S, S) in -1..1."""

Judge = Callable[[Tensor, Tensor], Tensor]
"""Pictures (B, 3, S, S) in -1..1 and embeddings (B, D) to a discriminator's scores (B,)."""

Encode = Callable[[Sequence[str]], Tensor]
"""Captions to embeddings: float32 (N, D) on the CPU."""


def matched_captions(config: MatchingConfig, corpus: Corpus, components: Components) -> Captions:
    """Captions that the text encoder of a matching stage embeds; its image encoder is the judge."""
    return Captions(corpus, caption_reader(config, components), judge=load_image_encoder(config, components),
                    judge_size=config.image_size)


def held_out_pictures(corpus: Corpus) -> PictureSet:
    """The pictures to show and score captions of: val, else test, else (there are no others) train."""
    return corpus.split(next((name for name in ("val", "test") if name in corpus.splits()), "train"))


def shown_captions(pictures: PictureSet, numbers: np.ndarray) -> list[str]:
    """Up to 8 captions for a sample grid, of pictures spread evenly over those with the given numbers: of one picture
    its first caption, of the next its second, and so on, so that long and short ones are seen."""
    chosen = numbers[np.linspace(0, len(numbers) - 1, min(_ROWS, len(numbers))).astype(int)]
    captions = [pictures.captions_of(int(number)) for number in chosen]
    return [each[row % len(each)] for row, each in enumerate(captions)]


def unread(tokeniser: Tokeniser, reads: str, caption: str) -> list[str]:
    """What a tokeniser cannot use of a caption, as warnings; ``reads`` is what it reads, words or characters."""
    found = []
    unknown = tokeniser.unknown(caption)
    if unknown:
        found.append(f"unknown {reads}, left out: {', '.join(map(repr, dict.fromkeys(unknown)))}")
    if tokeniser.truncates(caption):
        found.append(f"the caption is longer than {tokeniser.length} {reads}; its end is left out")
    return found


class Captions:
    """Embeddings of all training captions, and a fixed choice of held-out ones."""

    def __init__(self, corpus: Corpus, encode: Encode, *, judge: nn.Module | None = None, judge_size: int = 64
                 ) -> None:
        """``judge`` reads pictures of side ``judge_size`` into the space of the embeddings; ``agreement`` needs it."""
        self.pictures: PictureSet = corpus.split("train")
        held_out = held_out_pictures(corpus)
        self.judge = judge
        self._judge_size = judge_size
        self.embeddings = encode(self.pictures.captions).clone()
        """float32 (captions, D) on the CPU."""
        if not torch.isfinite(self.embeddings).all():
            raise LimnerError("the text encoder gives numbers that are not finite; train its stage again.")
        kinds = np.arange(len(self.pictures)) if self.pictures.labels is None else self.pictures.labels
        self._kinds = torch.from_numpy(kinds)
        self._overlap: WordOverlap | None = None
        self._on_device: Tensor | None = None
        chosen = np.linspace(0, len(held_out) - 1, min(_JUDGED, len(held_out))).astype(int)
        self._strangers = None if held_out is self.pictures else (held_out, chosen)
        self._captions = [held_out.captions_of(int(index))[0] for index in chosen]
        self._labels = None if held_out.labels is None else held_out.labels[chosen]
        self._held_out = encode(self._captions).clone()
        self._shown_captions = shown_captions(held_out, chosen)
        self._shown = encode(self._shown_captions).clone()

    @property
    def lent_channels(self) -> tuple[int, ...]:
        """Channels of the maps of ``lent``."""
        return self._lender().map_channels[1:]

    def lent(self, images: Tensor) -> list[Tensor]:
        """What the judge, a small-cnn, sees in pictures (B, 3, S, S) in -1..1: its feature maps from a quarter of its
        side down to 4. It stays frozen; gradients reach the pictures."""
        encoder = self._lender()
        return encoder.maps(resized(images, encoder.image_size))[1:]

    def _lender(self) -> SmallImageEncoder:
        assert isinstance(self.judge, SmallImageEncoder)
        return self.judge

    def wrong(self, text: Tensor, captions: Tensor, kinds: Tensor, context: StepContext, *, close_share: float,
              count: int = 1) -> tuple[Tensor, Tensor]:
        """Captions that are not the rows' own: those of other rows, and close ones.

        Args:
            text: (B, D): the rows' embeddings. ``captions``: int64 (B,): which training captions these are.
            kinds: int64 (B,): the rows' classes (their pictures' numbers where the data has no labels).
            close_share: share of rows that get, of 512 training captions of other kinds that contradict the row's
                picture, the one that shares most of its words with the row's own; the others, and rows for which
                there is none, get the caption of a row after theirs.
            count: wrong captions for every row, each drawn anew.

        Returns:
            Embeddings (count * B, D), and bool (count * B,): False where the other row is of the same kind.
        """
        others = torch.cat([text.roll(-1 - number, 0) for number in range(count)])
        close, chosen, wrong = self._close(captions, kinds, context, close_share=close_share, count=count)
        return torch.where(chosen[:, None], self._embeddings_on(text.device)[close], others), wrong

    def wrong_numbers(self, captions: Tensor, kinds: Tensor, context: StepContext, *, close_share: float,
                      count: int = 1) -> tuple[Tensor, Tensor]:
        """The same as ``wrong`` by number, of rows with one caption each: int64 (count * B,), and bool (count * B,)."""
        captions = captions.to(kinds.device)
        others = torch.cat([captions.roll(-1 - number, 0) for number in range(count)])
        close, chosen, wrong = self._close(captions, kinds, context, close_share=close_share, count=count)
        return torch.where(chosen, close, others), wrong

    def _close(self, captions: Tensor, kinds: Tensor, context: StepContext, *, close_share: float, count: int
               ) -> tuple[Tensor, Tensor, Tensor]:
        """Close captions by number, int64 (count * B,); bool, which of them to take, and which are then wrong."""
        wrong = torch.cat([kinds != kinds.roll(-1 - number, 0) for number in range(count)])
        if not close_share:
            return torch.zeros_like(wrong, dtype=torch.int64), torch.zeros_like(wrong), wrong
        numbers = torch.stack([context.uniform(f"pool/{number}", _WRONG_POOL) for number in range(count)])
        close, found = self._overlap_on(kinds.device).closest(captions.to(kinds.device), kinds, numbers)
        drawn = torch.stack([context.uniform(f"wrong/{number}", len(kinds)) for number in range(count)])
        chosen = ((drawn < close_share) & found).flatten()
        return close.flatten(), chosen, wrong | chosen

    def _overlap_on(self, device: torch.device) -> WordOverlap:
        if self._overlap is None:
            pictures = torch.arange(len(self.pictures)).repeat_interleave(
                torch.from_numpy(np.diff(self.pictures.caption_ranges, axis=1)[:, 0]))
            self._overlap = WordOverlap(self.pictures.captions, self._kinds[pictures].to(device), pictures.to(device))
        return self._overlap

    def of(self, captions: Tensor, device: torch.device) -> Tensor:
        """Caption numbers (B, K) to the mean embedding of each row's captions (B, D)."""
        return self._embeddings_on(device)[captions.to(device)].mean(1)

    def _embeddings_on(self, device: torch.device) -> Tensor:
        if self._on_device is None or self._on_device.device != device:
            self._on_device = self.embeddings.to(device)
        return self._on_device

    def sample(self, paint: Paint, noise_size: int, device: torch.device) -> Samples:
        """Held-out captions with fixed noise: the same noise in a column, so that what the caption changes is seen."""
        text = self._shown.repeat_interleave(_COLUMNS, 0)
        noise = normal(0, "sample", shape=(_COLUMNS, noise_size)).repeat(len(self._shown), 1)
        images = _painted(paint, noise, text, device)
        return Samples(images.permute(0, 2, 3, 1).numpy(), self._shown_captions)

    @torch.inference_mode()
    def agreement(self, paint: Paint, noise_size: int, device: torch.device) -> float:
        """How often a painting is closer to its own caption than to 31 captions of other classes (to all there are,
        if they are fewer).

        Closeness is the dot product of the matching model that this run trained, so the figure serves to follow a
        training and to choose a checkpoint, not to compare systems. Chance is 1/32.
        """
        assert self.judge is not None
        noise = normal(0, "agreement", shape=(len(self._held_out), noise_size))
        images = _painted(paint, noise, self._held_out, device)
        vectors = self.judge(resized(as_float(images.to(device)), self._judge_size)).float().cpu()
        scores = vectors @ self._held_out.T
        right = 0
        for row, score in enumerate(scores):
            others = self._others(row)
            right += len(others) > 0 and bool((score[row] > score[others]).all())
        return right / len(scores)

    @torch.inference_mode()
    def memorised(self, judge: Judge, paint: Paint, noise_size: int, *, size: int, device: torch.device
                  ) -> float | None:
        """How far a discriminator knows its pictures of side ``size`` by heart: 0 where held-out ones, each with its
        own caption, score like training ones, 1 where they score like painted ones. None where nothing is held out.

        (T - H) / (T - P) of the mean scores of up to 256 training, held-out and painted pictures. Source: the measure
        r_v of Karras et al. 2020, "Training generative adversarial networks with limited data".
        """
        if self._strangers is None:
            return None
        held_out, chosen = self._strangers
        known = np.linspace(0, len(self.pictures) - 1, min(_JUDGED, len(self.pictures))).astype(int)
        noise = normal(0, "memorised", shape=(len(self._held_out), noise_size))
        pairs = (
            (_pictures(self.pictures, known, size), self.embeddings[self.pictures.caption_ranges[known, 0]]),
            (_pictures(held_out, chosen, size), self._held_out),
            (_painted(paint, noise, self._held_out, device), self._held_out),
        )
        means = []
        for images, text in pairs:
            parts = zip(images.split(_CHUNK), text.split(_CHUNK), strict=True)
            means.append(torch.cat([judge(as_float(some.to(device)), told.to(device)).float() for some, told in parts])
                         .mean().item())
        trained, strange, painted = means
        return (trained - strange) / (trained - painted) if trained != painted else 0.0

    def _others(self, row: int) -> np.ndarray:
        """Captions that row is compared with: another class, and another wording."""
        different = np.array([caption != self._captions[row] for caption in self._captions])
        if self._labels is not None:
            different &= self._labels != self._labels[row]
        pool = np.flatnonzero(different)
        count = min(_CANDIDATES - 1, len(pool))
        return stream(0, "candidates", row).choice(pool, count, replace=False)


@torch.inference_mode()
def _painted(paint: Paint, noise: Tensor, text: Tensor, device: torch.device) -> Tensor:
    """uint8 (N, 3, S, S) on the CPU."""
    chunks = math.ceil(len(noise) / 64)
    return torch.cat([as_uint8(paint(z.to(device), t.to(device))).cpu()
                      for z, t in zip(noise.chunk(chunks), text.chunk(chunks), strict=True)])


def _pictures(pictures: PictureSet, chosen: np.ndarray, size: int) -> Tensor:
    """uint8 (N, 3, size, size) on the CPU."""
    return torch.from_numpy(pictures.pixels(size)[chosen]).permute(0, 3, 1, 2)
