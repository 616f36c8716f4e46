"""Image encoders: pictures to vectors that captions can be matched with."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.errors import LimnerError
from limner.files import read_json
from limner.vision.config import ImageEncoderConfig

_SMALLEST_MAP = 4


class SmallImageEncoder(nn.Module):
    """A small convolutional network that is trained from scratch with the text encoder.

    Strided 4x4 convolutions halve the picture (sides from 8 pixels) down to a map of 4x4 to 7x7, which is flattened, so
    that the vector knows where things are; batch normalisation behind all but the first.
    """

    def __init__(self, *, image_size: int, width: int, embedding: int) -> None:
        super().__init__()
        self.image_size = image_size
        halvings = int(math.log2(image_size / _SMALLEST_MAP))
        self.map_channels = tuple(width * min(2**i, 4) for i in range(halvings))
        """Channels of the feature maps of side S/2, S/4 ..."""
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise((3, *self.map_channels))):
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=i == 0))
            if i > 0:
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers)
        self.side = image_size >> halvings
        """Side of the last map."""
        self.head = nn.Linear(self.map_channels[-1] * self.side**2, embedding)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, S, S) in -1..1 to the feature maps (B, C, S/2, S/2), (B, C, S/4, S/4) ... behind each
        activation."""
        x, found = images, []
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                found.append(x)
        return found

    def read(self, maps: list[Tensor]) -> Tensor:
        """What ``forward`` gives, from ``maps``."""
        return self.head(maps[-1].flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in -1..1 to vectors (B, D)."""
        return self.read(self.maps(images))


def resized(images: Tensor, side: int) -> Tensor:
    """Images (B, 3, S, S) at another side, antialiased, in float32; as they are if that is theirs."""
    if images.shape[-1] == side:
        return images
    return functional.interpolate(images.float(), side, mode="bilinear", antialias=True)  # CPUs know no bf16 here


class PretrainedImageEncoder(nn.Module):
    """A frozen image model of the transformers library, and a trained linear layer on its pooled features.

    Only the linear layer is in the state dict, so the foreign weights are never copied into a run or a bundle.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, folder: str, *, embedding: int) -> None:
        super().__init__()
        try:
            from transformers import AutoModel
        except ImportError:
            raise LimnerError("a pretrained image encoder needs the transformers library: "
                              "pip install 'limner[pretrained]'.") from None
        try:
            # no pickles: safetensors only
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise LimnerError(f"{folder} holds no image model of the transformers library ({error}).") from None
        model = getattr(model, "vision_model", model)  # CLIP and its kind hold a text model too
        self._frozen = [model.eval().requires_grad_(False)]  # in a list: not a submodule, not in the state dict
        # read here and not by the library, whose image processors need torchvision
        path = Path(folder) / "preprocessor_config.json"
        processor = read_json(path)
        try:
            size = processor["size"]
            self.side = int(size if not isinstance(size, dict) else size.get("shortest_edge") or size["height"])
            mean, deviation = (torch.tensor(processor[name]).view(1, 3, 1, 1) for name in ("image_mean", "image_std"))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise LimnerError(f"{path} must name size (shortest_edge, or height), image_mean and image_std of three "
                              f"colours; trouble with {error}.") from None
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)
        self.head = nn.Linear(self._features(torch.zeros(1, 3, self.side, self.side)).shape[1], embedding)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in -1..1 to vectors (B, D)."""
        return self.head(self._features(images))

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in -1..1 to the model's pooled features (B, F)."""
        scaled = functional.interpolate(images, size=(self.side, self.side), mode="bicubic", antialias=True,
                                        align_corners=False)
        pixels = (scaled.add(1).div(2) - self.mean) / self.deviation
        pooled = getattr(self._frozen[0].to(images.device)(pixel_values=pixels), "pooler_output", None)
        if pooled is None:
            raise LimnerError(f"{type(self._frozen[0]).__name__} gives no pooled features of pictures; take a model "
                              "such as ViT, DINOv2, ResNet, ConvNeXt or CLIP.")
        return pooled.flatten(1)


def build_image_encoder(config: ImageEncoderConfig, *, image_size: int, embedding: int) -> nn.Module:
    """The image encoder of a configuration for square pictures of ``image_size`` pixels, with torch's first weights."""
    if config.architecture == "pretrained":
        return PretrainedImageEncoder(config.pretrained, embedding=embedding)
    return SmallImageEncoder(image_size=image_size, width=config.width, embedding=embedding)
