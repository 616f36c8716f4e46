"""Short captions, completed by a prior before they are painted: the input ``complete``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limner.errors import LimnerError
from limner.matching.config import PriorConfig
from limner.matching.prior import load_prior
from limner.systems.blending import blended_noise
from limner.systems.protocol import Request
from limner.training.stage import Components, weights_of


class Completion:
    """The prior of a painter; where there is none, captions stay as they are.

    Args:
        config: of the prior; None for none. One that has not been trained yet is none either.
        size: length D of a caption's embedding.
    """

    def __init__(self, config: PriorConfig | None, size: int, components: Components) -> None:
        self.config, self.prior = config, None
        if config is not None and "prior" in components.weights:
            self.prior = load_prior(config, size, components)

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raises LimnerError for a value that is not 0 or 1, and where there is nothing to complete captions with."""
        if "complete" not in inputs:
            return
        if isinstance(inputs["complete"], bool) or inputs["complete"] not in (0, 1):
            raise LimnerError(f"complete must be 0 or 1, got {inputs['complete']!r}.")
        if self.prior is None:
            raise LimnerError("this painter has no prior over complete captions: complete would change nothing. "
                              "Train one with limner train ... --set prior.schedule.images=4000000.")

    def __call__(self, text: Tensor, requests: Sequence[Request]) -> Tensor:
        """Embeddings (B, D) of captions, one for each request, to embeddings of complete captions where they are asked
        for."""
        if self.prior is None or self.config is None:
            return text
        noise = torch.stack([blended_noise(request, "prior", text.shape[1]) for request in requests]).to(text.device)
        with torch.autocast(text.device.type, enabled=False):  # rounding would choose other completions
            complete = self.prior.complete(text.float(), noise, steps=self.config.steps, guidance=self.config.guidance,
                                           threshold=self.config.threshold)
        asked = torch.tensor([request.inputs.get("complete", 1) == 1 for request in requests], device=text.device)
        return torch.where(asked[:, None], complete, text)

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """For a painter's components."""
        return {} if self.prior is None else {"prior": weights_of(self.prior)}

    def to(self, device: torch.device) -> None:
        if self.prior is not None:
            self.prior.to(device)
