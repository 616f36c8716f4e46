"""A trained GAN-CLS ready to paint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.data.batch import as_float, as_uint8
from limner.data.decoding import decode_picture, squash
from limner.errors import LimnerError
from limner.matching.stage import load_text_encoder
from limner.nn.layout import channels_last
from limner.nn.painting_form import for_painting
from limner.systems.blending import blend_amount, blended_noise, check_blend, second_warnings
from limner.systems.captions import unread
from limner.systems.completing import Completion
from limner.systems.gan_cls.build import build_generator, build_style_encoder
from limner.systems.gan_cls.config import GanClsConfig
from limner.systems.protocol import Picture, Request
from limner.systems.rows import paint_in_rows
from limner.training.stage import Components, loaded, weights_of


class GanClsPainter:
    """Caption to embedding to picture, in one forward pass.

    Inputs of a request: ``blend`` (a second caption) with ``blend_amount`` 0..1; ``blend_seed`` (a second seed) with
    the same amount between the two noises; ``style`` (a picture, whose noise the style encoder guesses); ``complete``
    (0: the caption as it stands, where there is a prior over complete captions).
    """

    def __init__(self, config: GanClsConfig, components: Components) -> None:
        self.config = config
        self.text_encoder, self.tokeniser = load_text_encoder(config.matching, components)
        self._generator_weights = components.weights["generator"]
        self.generator = for_painting(loaded(build_generator(config), self._generator_weights))
        self.style_encoder = None
        if config.style is not None and "style_encoder" in components.weights:
            encoder = build_style_encoder(config, config.style)
            self.style_encoder = channels_last(loaded(encoder, components.weights["style_encoder"]))
        self.completion = Completion(config.prior, config.matching.text.embedding, components)
        self.device = torch.device("cpu")

    def paint(self, requests: Sequence[Request]) -> list[Picture]:
        """Raises LimnerError for an input that cannot be used."""
        for request in requests:
            _check_inputs(request.inputs)
            self.completion.check(request.inputs)
        return paint_in_rows(requests, self._paint_rows)

    def stream(self, request: Request) -> Iterator[Picture]:
        yield from self.paint([request])

    @torch.inference_mode()
    def _paint_rows(self, requests: Sequence[Request]) -> list[Picture]:
        text = self._embed([request.caption for request in requests], requests)
        if any("blend" in request.inputs for request in requests):
            others = self._embed([request.inputs.get("blend", request.caption) for request in requests], requests)
            amounts = [blend_amount(request.inputs) if "blend" in request.inputs else 0.0 for request in requests]
            text = torch.lerp(text, others, torch.tensor(amounts).unsqueeze(1).to(self.device))
        noise = torch.stack([self._noise(request) for request in requests]).to(self.device)
        images = as_uint8(self.generator(noise, text)).permute(0, 2, 3, 1).cpu().numpy()
        return [Picture(np.ascontiguousarray(image)) for image in images]

    def _embed(self, captions: Sequence[str], requests: Sequence[Request]) -> Tensor:
        """Embeddings (B, D) of captions, one for each request, completed where there is a prior."""
        text = self.text_encoder(torch.from_numpy(self.tokeniser.encode(captions)).to(self.device))
        return self.completion(text, requests)

    def _noise(self, request: Request) -> Tensor:
        if "style" in request.inputs:
            return self.style_of(request.inputs["style"])
        return blended_noise(request, "noise", self.config.gan.noise_size)

    @torch.inference_mode()
    def style_of(self, picture: Any) -> Tensor:
        """The noise vector (nz,) that the style encoder reads in a picture (a path or a PIL image), on the CPU."""
        if self.style_encoder is None:
            raise LimnerError("this painter has no style encoder; train one with limner train ... "
                              "--set style.schedule.images=200000.")
        if isinstance(picture, (str, Path)):
            picture = decode_picture(Path(picture))
        elif not isinstance(picture, Image.Image):
            raise LimnerError(f"style must be a picture or its file, got {type(picture).__name__}.")
        pixels = torch.from_numpy(squash(picture.convert("RGB"), self.config.gan.image_size).copy())
        image = as_float(pixels.permute(2, 0, 1)[None]).contiguous(memory_format=torch.channels_last)
        return self.style_encoder(image.to(self.device))[0].cpu()

    def warnings(self, request: Request) -> list[str]:
        return self._warnings(request.caption) + second_warnings(request, self._warnings)

    def _warnings(self, caption: str) -> list[str]:
        return unread(self.tokeniser, self.config.matching.text.pattern.reads, caption)

    def components(self) -> Components:
        weights = {"text_encoder": weights_of(self.text_encoder), "generator": self._generator_weights}
        if self.style_encoder is not None:
            weights["style_encoder"] = weights_of(self.style_encoder)
        return Components(weights | self.completion.weights(), {"tokeniser": self.tokeniser.to_json()})

    def to(self, device: torch.device) -> GanClsPainter:
        self.device = device
        for network in (self.text_encoder, self.generator, self.style_encoder):
            if network is not None:
                network.to(device)
        self.completion.to(device)
        return self


def _check_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuses values out of range, and inputs that would have no effect."""
    check_blend(inputs)
    if "style" in inputs and "blend_seed" in inputs:
        raise LimnerError("style takes the place of the noise that blend_seed would blend: give one of the two.")
