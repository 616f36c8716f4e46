"""A trained StackGAN ready to paint: a sketch, then its refinement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.data.batch import as_uint8
from limner.errors import LimnerError
from limner.matching.stage import load_text_encoder
from limner.nn.painting_form import for_painting
from limner.systems.blending import blend_amount, blended_noise, check_blend, second_warnings
from limner.systems.captions import unread
from limner.systems.inputs import temperature_of
from limner.systems.protocol import Picture, Request
from limner.systems.rows import ROWS, paint_in_rows
from limner.systems.stackgan.build import build_refinement_generator, build_sketch_generator, condition_noise
from limner.systems.stackgan.config import EmbeddingFile, StackGanConfig
from limner.systems.stackgan.networks import RefinementGenerator, Sketcher
from limner.text.embedding_table import EmbeddingTable
from limner.training.stage import Components, weights_of


class StackGanPainter:
    """Caption to sketch to refinement. Where there is no refinement yet, the sketch is the picture.

    Noise has three addresses, all of (seed, index): the sketch's noise, and that of either stage's condition. Inputs of
    a request:

    - ``sketch_index``: take the sketch of another index, so that several pictures refine one sketch;
    - ``condition_noise``: factor on the noise of both conditions; 0 paints from their means;
    - ``blend``, ``blend_seed``, ``blend_amount``: conditions on the straight line between those of two captions, noise
      on that between two seeds;
    - ``embedding``: T numbers in place of the caption's embedding.
    """

    def __init__(self, config: StackGanConfig, components: Components) -> None:
        self.config = config
        self.table: EmbeddingTable | None = None
        if isinstance(config.text, EmbeddingFile):
            self.table = EmbeddingTable(components.assets["captions"],
                                        components.weights["caption_embeddings"]["embeddings"])
        else:
            self.text_encoder, self.tokeniser = load_text_encoder(config.text, components)
        sketch = components.weights["sketch"]
        self.sketch = _loaded(build_sketch_generator(config), sketch)
        self.refinement = None
        self._weights = {"sketch": sketch}
        if "refinement" in components.weights:
            whitening = {name: value for name, value in sketch.items() if name.startswith("augmentation.whitened.")}
            refinement = components.weights["refinement"]
            self.refinement = _loaded(build_refinement_generator(config), {**refinement, **whitening})
            # both stages whiten captions alike: a bundle has the numbers once
            self._weights["refinement"] = {name: value for name, value in refinement.items() if name not in whitening}
        self.device = torch.device("cpu")

    def paint(self, requests: Sequence[Request]) -> list[Picture]:
        """Raises LimnerError for an input or a caption that cannot be used."""
        for request in requests:
            self._check(request)
        if self.table is not None:  # before rows are filled up, so that an error counts the captions that were asked
            self.table.encode([request.caption for request in requests if "embedding" not in request.inputs])
        return paint_in_rows(requests, self._paint_rows, rows=self._rows)

    @property
    def _rows(self) -> int:
        """Rows computed together, always the same number: on a CPU as many as have the pixels of 16 pictures of 64x64,
        so that a single large picture does not wait for fifteen others."""
        if self.device.type != "cpu":
            return ROWS
        networks = self.config.networks
        side = networks.sketch_size if self.refinement is None else networks.image_size
        return max(1, min(ROWS, ROWS * 64**2 // side**2))

    def stream(self, request: Request) -> Iterator[Picture]:
        """The sketch, enlarged to the size of the picture, then the picture."""
        [picture] = self.paint([request])
        if self.refinement is not None:
            size = picture.image.shape[:2]
            sketch = Image.fromarray(picture.stages["sketch"]).resize(size, Image.Resampling.NEAREST)
            yield Picture(np.asarray(sketch), {"sketch": picture.stages["sketch"]})
        yield picture

    @torch.inference_mode()
    def _paint_rows(self, requests: Sequence[Request]) -> list[Picture]:
        texts = [self._texts(requests)]
        others = [request.inputs["blend"] for request in requests if "blend" in request.inputs]
        if others:  # rows without a second caption take any: they go no part of the way to it
            texts.append(self._embed([request.inputs.get("blend", others[0]) for request in requests]))
        amounts = torch.tensor([blend_amount(request.inputs) if "blend" in request.inputs else 0.0
                                for request in requests], device=self.device).unsqueeze(1)
        noise = self._noise(requests, "noise", self.config.networks.noise_size) * self._factors(
            temperature_of(request.inputs, self.config.temperature) for request in requests)
        image = self.sketch.paint(self._code(self.sketch, "sketch", texts, amounts, requests), noise)
        stages = {"sketch": _pixels(image)}
        if self.refinement is not None:
            image = self.refinement.paint(image, self._code(self.refinement, "refinement", texts, amounts, requests))
            stages["refinement"] = _pixels(image)
        images = stages[next(reversed(stages))]
        return [Picture(images[row], {name: pixels[row] for name, pixels in stages.items()})
                for row in range(len(requests))]

    def _code(self, generator: Any, stage: str, texts: Sequence[Tensor], amounts: Tensor, requests: Sequence[Request]
              ) -> Tensor:
        """The conditioning variable (B, C) of a stage; between two captions both are drawn with the same noise."""
        networks = self.config.networks
        noise = condition_noise(networks, self._noise(requests, f"{stage} condition", networks.condition_size))
        if noise is not None:
            noise = noise * self._factors(float(request.inputs.get("condition_noise", 1.0)) for request in requests)
        codes = [generator.augmentation(text, noise).code for text in texts]
        return codes[0] if len(codes) == 1 else torch.lerp(codes[0], codes[1], amounts)

    def _factors(self, numbers: Iterable[float]) -> Tensor:
        """One number for each row, (B, 1)."""
        return torch.tensor(list(numbers), device=self.device).unsqueeze(1)

    def _noise(self, requests: Sequence[Request], purpose: str, size: int) -> Tensor:
        """Standard normal noise (B, size); that of the sketch may be another picture's."""
        rows = []
        for request in requests:
            own = purpose.startswith("refinement")
            index = request.index if own else request.inputs.get("sketch_index", request.index)
            rows.append(blended_noise(request, f"stackgan/{purpose}", size, index=index))
        return torch.stack(rows).to(self.device)

    def _texts(self, requests: Sequence[Request]) -> Tensor:
        """Embeddings (B, T): given ones, and those of the captions, which are read all together."""
        given = [request.inputs.get("embedding") for request in requests]
        captions = [request.caption for request, vector in zip(requests, given, strict=True) if vector is None]
        if captions:
            rows = self._embed([captions[0] if vector is not None else request.caption
                                for request, vector in zip(requests, given, strict=True)])
        else:
            rows = torch.zeros(len(requests), self.config.text_size, device=self.device)
        for row, vector in enumerate(given):
            if vector is not None:
                rows[row] = torch.from_numpy(np.asarray(vector, np.float32)).to(self.device)
        return rows

    def _embed(self, captions: Sequence[str]) -> Tensor:
        if self.table is not None:
            return self.table.encode(captions).to(self.device)
        return self.text_encoder(torch.from_numpy(self.tokeniser.encode(captions)).to(self.device))

    def warnings(self, request: Request) -> list[str]:
        found = [] if "embedding" in request.inputs else self._warnings(request.caption)
        return found + second_warnings(request, self._warnings)

    def _warnings(self, caption: str) -> list[str]:
        if isinstance(self.config.text, EmbeddingFile):
            return []
        return unread(self.tokeniser, self.config.text.text.pattern.reads, caption)

    def _check(self, request: Request) -> None:
        """Refuses values out of range, and inputs that would have no effect."""
        inputs = request.inputs
        check_blend(inputs)
        _check_numbers(inputs)
        temperature_of(inputs, self.config.temperature)
        if "sketch_index" in inputs and self.refinement is None:
            raise LimnerError("sketch_index chooses the sketch to refine, and this painter has no refinement yet.")
        if "condition_noise" in inputs and not self.config.networks.augmentation:
            raise LimnerError("this painter was trained without conditioning augmentation: its condition has no noise.")
        if "embedding" in inputs:
            vector = np.asarray(inputs["embedding"])
            if vector.shape != (self.config.text_size,) or vector.dtype.kind not in "fiu" \
                    or not np.isfinite(vector).all():
                raise LimnerError(f"embedding must be {self.config.text_size} finite numbers, got {vector.dtype} "
                                  f"{vector.shape}.")

    def components(self) -> Components:
        """The weights of both generators and of what reads captions."""
        if self.table is not None:
            made = Components({"caption_embeddings": {"embeddings": self.table.embeddings}},
                              {"captions": self.table.captions})
        else:
            made = Components({"text_encoder": weights_of(self.text_encoder)},
                              {"tokeniser": self.tokeniser.to_json()})
        made.weights |= self._weights
        return made

    def to(self, device: torch.device) -> StackGanPainter:
        self.device = device
        self.sketch.to(device)
        if self.refinement is not None:
            self.refinement.to(device)
        if self.table is None:
            self.text_encoder.to(device)
        return self


G = TypeVar("G", bound=Sketcher | RefinementGenerator)


def _loaded(generator: G, weights: Mapping[str, Tensor]) -> G:
    generator.load_state_dict(weights)
    return for_painting(generator)


def _pixels(images: Tensor) -> np.ndarray:
    """(B, 3, S, S) in -1..1 to uint8 (B, S, S, 3)."""
    return np.ascontiguousarray(as_uint8(images).permute(0, 2, 3, 1).cpu().numpy())


def _check_numbers(inputs: Mapping[str, Any]) -> None:
    index = inputs.get("sketch_index", 0)
    if type(index) is not int or index < 0:
        raise LimnerError(f"sketch_index must be a whole number from 0 up, got {index!r}.")
    factor = inputs.get("condition_noise", 1.0)
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 <= factor <= 10:
        raise LimnerError(f"condition_noise must be a number from 0 to 10 (1 as in training), got {factor!r}.")
