"""A trained alignDRAW or DRAW ready to paint, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from limner.errors import LimnerError
from limner.randomness import normal
from limner.systems.aligndraw.build import (
    fresh_sharpener,
    tokeniser_of,
    tokens_of,
    trained_generator,
    trained_recognition,
)
from limner.systems.aligndraw.config import AlignDrawConfig
from limner.systems.aligndraw.drawing import PaintingHeads, Stroke, bound, generate, reconstruct
from limner.systems.aligndraw.networks import Words
from limner.systems.aligndraw.pictures import as_pictures, as_targets
from limner.systems.aligndraw.sharpening import sentence_of
from limner.systems.captions import unread
from limner.systems.inputs import temperature_of
from limner.systems.protocol import Picture, Request, StepAttention
from limner.systems.rows import ROWS, paint_in_rows
from limner.text.words import split_words
from limner.training.stage import Components, loaded, weights_of

_PAIRS = 64
CPU_ROWS = 4  # a picture alone takes half the time that 16 rows take; sixteen take twice as long


class AlignDrawPainter:
    """Caption to words to strokes to picture.

    ``Picture.extras`` holds ``canvases``, uint8 (T, H, W, 3), the canvas after every step, and ``attention``, a
    ``StepAttention``. Sharpened painters keep the drawing as the stage ``drawing``. The input ``temperature`` is a
    factor on the noise of the latent numbers.
    """

    def __init__(self, config: AlignDrawConfig, components: Components) -> None:
        self.config = config
        self.tokeniser = tokeniser_of(components) if config.captions is not None else None
        self.generator = trained_generator(config, self.tokeniser, components)
        self.recognition = trained_recognition(config, components) if "recognition" in components.weights else None
        self.sharpener = None
        if config.sharpening is not None and "sharpener" in components.weights:
            self.sharpener = loaded(fresh_sharpener(config), components.weights["sharpener"])
        self._heads = PaintingHeads(self.generator)
        self.device = torch.device("cpu")

    def paint(self, requests: Sequence[Request]) -> list[Picture]:
        """Raises LimnerError for a ``temperature`` that is no number from 0 to 1."""
        for request in requests:
            temperature_of(request.inputs, self.config.temperature)
        return paint_in_rows(requests, self._paint_rows, rows=CPU_ROWS if self.device.type == "cpu" else ROWS)

    def stream(self, request: Request) -> Iterator[Picture]:
        """The canvas after every step, and the finished picture in place of the last one."""
        [picture] = self.paint([request])
        canvases, attention = picture.extras["canvases"], picture.extras["attention"]
        for done in range(1, len(canvases)):
            so_far = replace(attention, weights=attention.weights[:done], windows=attention.windows[:done])
            yield Picture(canvases[done - 1], extras={"canvases": canvases[:done], "attention": so_far})
        yield picture

    @torch.inference_mode()
    def _paint_rows(self, requests: Sequence[Request]) -> list[Picture]:
        words = self._words([request.caption for request in requests])
        drawing = self.config.drawing
        shape = (drawing.steps, drawing.latent)
        noise = torch.stack([normal(request.seed, "noise", request.index, shape=shape)
                             * temperature_of(request.inputs, self.config.temperature) for request in requests], 1)
        strokes = generate(self.generator, words, noise.to(self.device), self._heads)
        drawn = torch.stack([stroke.canvas for stroke in strokes], 1).sigmoid()
        canvases = as_pictures(drawn).numpy()
        attention = self._attention(strokes, requests)
        extras = [{"canvases": canvas, "attention": each} for canvas, each in zip(canvases, attention, strict=True)]
        if self.sharpener is None or words is None:
            return [Picture(each["canvases"][-1], extras=each) for each in extras]
        sharp = as_pictures(self.sharpener.sharpen(drawn[:, -1], sentence_of(words))).numpy()
        return [Picture(image, {"drawing": each["canvases"][-1]}, each)
                for image, each in zip(sharp, extras, strict=True)]

    def _words(self, captions: Sequence[str]) -> Words | None:
        """All rows at the tokeniser's full length, so that no caption's bits depend on its company."""
        if self.tokeniser is None:
            return None
        tokens, lengths = tokens_of(self.tokeniser, captions)
        return self.generator.read_captions(tokens.to(self.device), lengths.to(self.device))

    def _attention(self, strokes: list[Stroke], requests: Sequence[Request]) -> list[StepAttention]:
        drawing = self.config.drawing
        windows = np.tile(np.array([0.5, 0.5, 1.0, 0.0], np.float32), (len(requests), len(strokes), 1))
        if drawing.write_size:
            windows = torch.stack([self.generator.write_outline(stroke.write_window)
                                   for stroke in strokes if stroke.write_window is not None], 1).cpu().numpy()
        if self.tokeniser is None:
            return [StepAttention((), np.zeros((len(strokes), 0), np.float32), each) for each in windows]
        alpha = torch.stack([stroke.alpha for stroke in strokes if stroke.alpha is not None], 1).float().cpu().numpy()
        told = [tuple(split_words(request.caption))[: self.tokeniser.length] for request in requests]
        return [StepAttention(words, weights[:, : len(words)].copy(), each)
                for words, weights, each in zip(told, alpha, windows, strict=True)]

    @torch.inference_mode()
    def bounds(self, pictures: np.ndarray, captions: Sequence[str], *, crossed: bool = True, seed: int = 0,
               samples: int = 1) -> np.ndarray:
        """How well captions explain pictures: lower bounds of log p(picture | caption) in nats, float64.

        Args:
            pictures: uint8 (N, H, H, 3) at the painter's size.
            captions: K of them; painters that read none ignore their words.
            crossed: every picture under every caption, (N, K); otherwise each under its own alone, (N,), K = N.
            seed: of the latent noise, which is the same for all captions of a picture.
            samples: passes with fresh noise over which the bound is averaged.

        Raises:
            LimnerError: pictures of another size, another number of captions than pictures where each has its own, or
                a painter without its recognition network.
        """
        side, count = self.config.drawing.image_size, len(captions)
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (side, side, 3):
            raise LimnerError(f"pictures must be uint8 (N, {side}, {side}, 3), got {pictures.dtype} {pictures.shape}.")
        if not crossed and count != len(pictures):
            raise LimnerError(f"each of {len(pictures)} pictures needs a caption, got {count}; or ask for all pairs.")
        if self.recognition is None:
            raise LimnerError("this painter was packed without the network that looks at pictures; take the run it "
                              "comes from.")
        targets = as_targets(torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self.device),
                             self.config.drawing.channels)
        words, numbers = self._words(captions), torch.arange(len(pictures))
        pairs = torch.cartesian_prod(numbers, torch.arange(count)) if crossed else torch.stack([numbers, numbers], 1)
        found = torch.cat([self._pair_bounds(targets, words, share.to(self.device), seed, samples)
                           for share in pairs.split(_PAIRS)]).numpy()
        return found.reshape(len(pictures), count) if crossed else found

    def _pair_bounds(self, targets: Tensor, words: Words | None, pairs: Tensor, seed: int, samples: int) -> Tensor:
        drawing, total = self.config.drawing, torch.zeros(len(pairs), dtype=torch.float64)
        pictures = targets[pairs[:, 0]]
        assert self.recognition is not None
        for sample in range(samples):
            noise = {row: normal(seed, "bound", row, sample, shape=(drawing.steps, drawing.latent))
                     for row in pairs[:, 0].unique().tolist()}
            chance = torch.stack([noise[row] for row in pairs[:, 0].tolist()], 1).to(self.device)
            strokes = reconstruct(self.generator, self.recognition, pictures,
                                  None if words is None else words.rows(pairs[:, 1]), chance)
            total -= bound(pictures, strokes).cost.double().cpu()
        return total / samples

    def warnings(self, request: Request) -> list[str]:
        if self.tokeniser is None:
            return ["this painter draws without captions; the words change nothing"]
        return unread(self.tokeniser, "words", request.caption)

    def components(self) -> Components:
        networks = {"generator": self.generator, "recognition": self.recognition, "sharpener": self.sharpener}
        assets = {} if self.tokeniser is None else {"tokeniser": self.tokeniser.to_json()}
        return Components({name: weights_of(network) for name, network in networks.items() if network is not None},
                          assets)

    def to(self, device: torch.device) -> AlignDrawPainter:
        self.device = device
        for network in (self.generator, self.recognition, self.sharpener):
            if network is not None:
                network.to(device)
        self._heads = PaintingHeads(self.generator)
        return self
