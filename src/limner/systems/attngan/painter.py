"""A trained AttnGAN ready to paint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from limner.data.batch import as_uint8
from limner.matching.damsm.scorer import load_word_encoder
from limner.matching.damsm.text_encoder import padding_of
from limner.nn.painting_form import for_painting
from limner.systems.attngan.build import build_generator
from limner.systems.attngan.config import AttnGanConfig
from limner.systems.attngan.networks import Generator
from limner.systems.blending import blend_amount, blended_noise, check_blend, second_warnings
from limner.systems.completing import Completion
from limner.systems.inputs import temperature_of
from limner.systems.protocol import Picture, Request, WordMaps
from limner.systems.rows import ROWS, paint_in_rows
from limner.training.stage import Components, weights_of

LONGEST = 64
"""Words of a caption that are read. Where several captions are painted together, each is filled up to so many steps, so
that a picture's bits depend on its own caption alone."""


class AttnGanPainter:
    """Caption to vectors of words and sentence, and in one forward pass to pictures of growing size.

    ``Picture.stages`` holds the smaller pictures by their side ("64"), and ``extras["attention"]`` the ``WordMaps`` of
    every refinement by the side of the picture that it led to ("128"), which sum to 1 with the authors' mask, too: a
    picture is painted as if it were alone. Inputs of a request: ``blend`` (a second caption) with ``blend_amount``
    0..1: the condition lies between those of both, and regions look up the words of both, which count 1 -
    ``blend_amount`` and ``blend_amount``; ``blend_seed`` (a second seed) with the same amount between the noises;
    ``complete`` (0: the captions as they stand, where there is a prior over complete captions); ``temperature``, a
    factor 0..1 on the noise beside the condition.
    """

    def __init__(self, config: AttnGanConfig, components: Components) -> None:
        self.config = config
        self.text_encoder, self.vocabulary = load_word_encoder(config.damsm, components)
        self._weights = components.weights["generator"]
        generator = build_generator(config)
        generator.load_state_dict(self._weights)
        if isinstance(generator, Generator):
            # the authors' mask differs from the right one only where captions of different length share a batch
            generator.official_mask = False
        self.generator = for_painting(generator)
        self.completion = Completion(config.prior, config.damsm.embedding, components)
        self.device = torch.device("cpu")
        # rows are computed together to use the processor well; one large picture does that alone
        self.rows = max(1, min(ROWS, ROWS * 64**2 // config.gan.image_size**2))

    def paint(self, requests: Sequence[Request]) -> list[Picture]:
        """uint8 pictures, with their stages and attention. Raises LimnerError for an input that cannot be used."""
        for request in requests:
            check_blend(request.inputs)
            self.completion.check(request.inputs)
            temperature_of(request.inputs, self.config.temperature)
        pictures: dict[int, Picture] = {}
        for two in (False, True):  # apart, for the words of two captions are more, and bits depend on their number
            chosen = [number for number, request in enumerate(requests) if ("blend" in request.inputs) == two]
            painted = paint_in_rows([requests[number] for number in chosen], self._paint_rows, rows=self.rows)
            pictures.update(zip(chosen, painted, strict=True))
        return [pictures[number] for number in range(len(requests))]

    def stream(self, request: Request) -> Iterator[Picture]:
        """The picture at every size, the smallest first, and at last with everything."""
        picture = self.paint([request])[0]
        for image in picture.stages.values():
            yield Picture(image)
        yield picture

    @torch.inference_mode()
    def _paint_rows(self, requests: Sequence[Request]) -> list[Picture]:
        """Of requests that all have a second caption, or none of them."""
        sentences, words, padding = self._read_all([request.caption for request in requests], requests)
        favour, steps = None, padding.shape[1]
        if "blend" in requests[0].inputs:
            amounts = torch.tensor([blend_amount(request.inputs) for request in requests], device=self.device)[:, None]
            others = self._read_all([request.inputs["blend"] for request in requests], requests)
            favour = torch.cat([(1 - amounts).log().expand(padding.shape), amounts.log().expand(others[2].shape)], 1)
            sentences = torch.lerp(sentences, others[0], amounts)
            words, padding = torch.cat([words, others[1]], 2), torch.cat([padding, others[2]], 1)
        gan = self.config.gan
        noise, condition_noise = (
            torch.stack([blended_noise(request, purpose, size) for request in requests]).to(self.device)
            for purpose, size in (("noise", gan.noise_size), ("condition", gan.condition_size))
        )
        factors = [temperature_of(request.inputs, self.config.temperature) for request in requests]
        noise = noise * torch.tensor(factors, device=self.device)[:, None]
        painted = self.generator(noise, condition_noise, sentences, words, padding, favour)
        images = [as_uint8(image).permute(0, 2, 3, 1).cpu().numpy() for image in painted.images]
        shares = [share.float().cpu().numpy() for share in painted.shares]
        return [self._picture(request, [np.ascontiguousarray(image[row]) for image in images],
                              [share[row] for share in shares], steps) for row, request in enumerate(requests)]

    def _picture(self, request: Request, images: list[np.ndarray], shares: list[np.ndarray], steps: int) -> Picture:
        """``steps``: room for the words of the first caption in ``shares``."""
        captions = [request.caption, *([request.inputs["blend"]] if "blend" in request.inputs else [])]
        known = [self.vocabulary.known(caption)[:LONGEST] for caption in captions]
        places = [steps * number + place for number, words in enumerate(known) for place in range(len(words))]
        attention = {str(side): WordMaps(tuple(word for words in known for word in words), share[places])
                     for side, share in zip(self.config.gan.sides[1:], shares, strict=True)}
        stages = {str(len(image)): image for image in images[:-1]}
        return Picture(images[-1], stages=stages, extras={"attention": attention} if attention else {})

    def _read_all(self, captions: Sequence[str], requests: Sequence[Request]) -> tuple[Tensor, Tensor, Tensor]:
        """Captions, one for each request, to sentences (B, D), completed where there is a prior, words (B, D, T) and
        bool (B, T), true where there is no word."""
        read = {caption: self._read(caption) for caption in set(captions)}
        sentences, words, padding = (torch.stack(parts) for parts in
                                     zip(*(read[caption] for caption in captions), strict=True))
        return self.completion(sentences, requests), words, padding

    def _read(self, caption: str) -> tuple[Tensor, Tensor, Tensor]:
        """A caption alone (so that its bits do not depend on others): (D,), (D, T), bool (T,) with T = LONGEST, or the
        number of words where pictures are painted one by one."""
        indices = self.vocabulary.read(caption)[:LONGEST] or [0]
        steps = len(indices) if self.rows == 1 else LONGEST
        tokens = torch.tensor([indices + [0] * (steps - len(indices))])
        lengths = torch.tensor([len(indices)])
        words, sentences = self.text_encoder(tokens.to(self.device), lengths)
        return sentences[0], words[0], padding_of(lengths, steps)[0].to(self.device)

    def warnings(self, request: Request) -> list[str]:
        return self._warnings(request.caption) + second_warnings(request, self._warnings)

    def _warnings(self, caption: str) -> list[str]:
        found = []
        unknown = self.vocabulary.unknown(caption)
        if unknown:
            found.append(f"unknown words, left out: {', '.join(map(repr, dict.fromkeys(unknown)))}")
        if len(self.vocabulary.read(caption)) > LONGEST:
            found.append(f"the caption is longer than {LONGEST} words; its end is left out")
        return found

    def components(self) -> Components:
        weights = {"text_encoder": weights_of(self.text_encoder), "generator": self._weights}
        return Components(weights | self.completion.weights(), {"vocabulary": self.vocabulary.to_json()})

    def to(self, device: torch.device) -> AttnGanPainter:
        self.device = device
        self.text_encoder.to(device)
        self.generator.to(device)
        self.completion.to(device)
        return self

