"""The reference vectors of alignDRAW, and our networks with their weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from limner.systems.aligndraw.config import CaptionConfig, DrawingConfig
from limner.systems.aligndraw.networks import Generator, Recognition
from limner.training.schedule import Schedule

FOLDER = Path(__file__).parents[2] / "golden" / "aligndraw"


class Golden:
    """One file; its arrays as float64 or int64 tensors."""

    def __init__(self, name: str) -> None:
        with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
            self.arrays = {key: file[key] for key in file.files}

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.arrays[key]))

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def size(self, name: str) -> int:
        return int(self.arrays[f"dim.{name}"])

    def under(self, prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): self[key] for key in self.arrays if key.startswith(prefix)}

    def pictures(self, images: Tensor) -> Tensor:
        channels = self.size("C")
        side = round((images.shape[1] // channels) ** 0.5)
        return images.double().view(-1, channels, side, side)

    def networks(self, *, grid: str, backward: str = "paper", window: bool = True, weights: dict[str, Tensor],
                 first_canvas: float = 0.0) -> tuple[Generator, Recognition]:
        """Both networks in float64 with the given weights; every weight must find its place."""
        text = "dim.L" in self
        drawing = DrawingConfig(
            schedule=Schedule(images=1), image_size=round((self.size("P") // self.size("C")) ** 0.5),
            channels=self.size("C"), steps=self.size("T"), encoder=self.size("E"), decoder=self.size("D"),
            latent=self.size("Z"), read_size=self.size("Nr") if window else 0,
            write_size=self.size("Nw") if window else 0, grid=grid, first_canvas=first_canvas)
        captions = CaptionConfig(units=self.size("L"), alignment=self.size("A")) if text else None
        generator = Generator(drawing, captions, words=self.size("V") if text else 0, backward=backward).double()
        recognition = Recognition(drawing, learned_start=text).double()
        load(generator, recognition, weights)
        return generator, recognition


def load(generator: nn.Module, recognition: nn.Module, weights: dict[str, Tensor]) -> None:
    names = [set(network.state_dict()) for network in (generator, recognition)]
    assert not names[0] & names[1]
    assert names[0] | names[1] == set(weights)
    for network, own in zip((generator, recognition), names, strict=True):
        network.load_state_dict({name: weights[name] for name in own})


def full_size_weights(golden: Golden, first_canvas: float) -> dict[str, Tensor]:
    """The weights of the full-size files, by their recipe."""
    random = np.random.RandomState(106)
    weights = {}
    for name, shape in zip(golden.arrays["w.order"], golden.arrays["w.shapes"], strict=True):
        weights[str(name)] = torch.from_numpy(
            random.normal(0, 1, json.loads(str(shape))) * (0.5 if name == "align.v" else 0.05))
    weights["init.canvas"].fill_(first_canvas)
    return weights


def assert_close(ours: Tensor, theirs: Tensor, what: str = "", tolerance: float = 1e-9) -> None:
    assert ours.numel() == theirs.numel(), what
    torch.testing.assert_close(ours.detach().double().reshape(theirs.shape), theirs.double(), rtol=tolerance,
                               atol=tolerance, msg=lambda text: f"{what}: {text}")
