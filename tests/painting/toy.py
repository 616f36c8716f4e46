"""A tiny real system for the tests of painting and of the command line: one linear layer from noise and words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from limner.data.batch import as_uint8
from limner.errors import LimnerError
from limner.randomness import normal
from limner.systems.protocol import Picture, Request, System
from limner.systems.rows import paint_in_rows
from limner.training.stage import Components


@dataclass(frozen=True)
class ToyConfig:
    size: int = 16
    noise: int = 8
    words: tuple[str, ...] = ("red", "blue", "ring", "star")

    def __post_init__(self) -> None:
        if self.size < 8:
            raise LimnerError(f"size must be at least 8, got {self.size}.")


class ToyNetwork(nn.Module):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        width = config.noise + len(config.words)
        self.size = config.size
        self.body = nn.Sequential(
            nn.Linear(width, 64 * 16), nn.Unflatten(1, (64, 4, 4)), nn.Upsample((config.size, config.size)),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 3, 3, padding=1), nn.Tanh(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class ToyPainter:
    def __init__(self, config: ToyConfig, components: Components) -> None:
        self.config = config
        self.network = ToyNetwork(config).eval()
        self.network.load_state_dict(components.weights["generator"])
        self.device = torch.device("cpu")

    def paint(self, requests: Sequence[Request]) -> list[Picture]:
        return paint_in_rows(requests, self._rows)

    def _rows(self, requests: Sequence[Request]) -> list[Picture]:
        rows = [torch.cat([normal(r.seed, "toy noise", r.index, shape=(self.config.noise,)) * r.inputs.get("spread", 1),
                           torch.tensor([float(word in r.caption) for word in self.config.words])]) for r in requests]
        with torch.inference_mode():
            images = as_uint8(self.network(torch.stack(rows).to(self.device))).cpu().permute(0, 2, 3, 1).numpy()
        return [Picture(image=image, stages={"half": np.ascontiguousarray(image[::2, ::2])}) for image in images]

    def stream(self, request: Request) -> Iterator[Picture]:
        [picture] = self.paint([request])
        yield Picture(image=picture.image // 2)
        yield picture

    def warnings(self, request: Request) -> list[str]:
        unknown = [word for word in re.findall(r"\S+", request.caption) if word not in self.config.words]
        return [f"unknown words: {', '.join(unknown[:5])}."] if unknown else []

    def components(self) -> Components:
        weights = {name: value.detach().cpu() for name, value in self.network.state_dict().items()}
        return Components({"generator": weights}, {"words": list(self.config.words)})

    def to(self, device: torch.device) -> ToyPainter:
        self.network.to(device)
        self.device = device
        return self


def fresh_components(config: ToyConfig, seed: int = 0) -> Components:
    network = ToyNetwork(config)
    for place, value in enumerate(network.state_dict().values()):
        value.copy_(normal(seed, "toy weights", place, shape=value.shape) * 0.3)
    return Components({"generator": network.state_dict()}, {"words": list(config.words)})


SYSTEM = System(
    name="toy",
    title="a linear layer that paints",
    config_type=ToyConfig,
    presets={"toy-debug": ToyConfig},
    stage_names=lambda config: ("toy",),
    build_stage=lambda *parts: None,  # type: ignore[arg-type,return-value]
    build_painter=ToyPainter,
    stage_settings=lambda config, name: (config,),
    debug=lambda config: config,
    inputs={"spread": "factor of the noise"},
)
