"""DAMSM's image encoders: a vector for every region of a picture and one for the whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from limner.errors import LimnerError
from limner.matching.damsm.config import DamsmConfig
from limner.vision.encoders import resized
from limner.vision.inception import InceptionTrunk

INITIAL_RANGE = 0.1
_INCEPTION_SIZE = 299
_REGIONS = 8
_MOST = 4


class InceptionRegions(nn.Module):
    """Inception-v3, whose middle map gives the regions and whose pooled features give the picture.

    The trunk is frozen: its weights take no gradients. In training mode its batch normalisation still uses and follows
    the batch, as in the authors' code, so the running statistics of a trained encoder are not ImageNet's. Pictures are
    read in -1..1, without ImageNet's means.
    """

    def __init__(self, embedding: int, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.trunk = InceptionTrunk().requires_grad_(False)
        self.to_regions = nn.Conv2d(768, embedding, 1, bias=False)
        self.to_vector = nn.Linear(2048, embedding)
        for head in (self.to_regions, self.to_vector):
            nn.init.uniform_(head.weight, -INITIAL_RANGE, INITIAL_RANGE)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S) in -1..1 to regions (B, D, 17, 17) and pictures' vectors (B, D)."""
        if images.shape[-1] != _INCEPTION_SIZE:
            images = functional.interpolate(images, (_INCEPTION_SIZE, _INCEPTION_SIZE), mode="bilinear",
                                            align_corners=self.align_corners)
        maps = self.trunk(images)
        return self.to_regions(maps.middle), self.to_vector(maps.pooled)


class SmallRegions(nn.Module):
    """A small network that is trained from scratch: strided convolutions down to a map of 8 to 15 regions a side, and
    one more, flattened, to the picture's vector.

    A region sees its surroundings through two 3x3 convolutions at that size, so that it can tell what stands beside it.
    """

    def __init__(self, embedding: int, *, image_size: int, width: int) -> None:
        super().__init__()
        self.image_size = image_size
        halvings = int(math.log2(image_size / _REGIONS))
        channels = [3, *(width * min(2**i, _MOST) for i in range(halvings))]
        last = channels[-1]
        self._downs = halvings
        self.map_channels = channels[-2], last, last
        """Channels of ``maps``."""
        downs = [_layer(before, after, kernel=4, stride=2) for before, after in itertools.pairwise(channels)]
        self.local = nn.Sequential(*downs, _layer(last, last, kernel=3), _layer(last, last, kernel=3))
        self.to_regions = nn.Conv2d(last, embedding, 1, bias=False)
        self.wide = _layer(last, last, kernel=4, stride=2)
        self.side = (image_size >> halvings) // 2
        """Side of the last of ``maps``."""
        self.to_vector = nn.Linear(last * self.side**2, embedding)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S) in -1..1 to regions (B, D, H, W) and pictures' vectors (B, D)."""
        return self.read(self.maps(images))

    def read(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What ``forward`` gives, from ``maps``."""
        _, x, wide = maps
        return self.to_regions(x), self.to_vector(wide.flatten(1))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Pictures (B, 3, S, S) in -1..1 to feature maps: twice as many regions a side, the regions', and half."""
        fine = self.local[: self._downs - 1](resized(images, self.image_size))
        regions = self.local[self._downs - 1 :](fine)
        return [fine, regions, self.wide(regions)]


def _layer(before: int, after: int, *, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, kernel, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after),
                         nn.LeakyReLU(0.2))


RegionEncoder = InceptionRegions | SmallRegions


def build_region_encoder(config: DamsmConfig) -> RegionEncoder:
    """The image encoder of a configuration, with fresh weights."""
    if config.image.architecture == "inception":
        return InceptionRegions(config.embedding, align_corners=config.image.align_corners)
    return SmallRegions(config.embedding, image_size=config.image_size, width=config.image.width)


def load_trunk(encoder: RegionEncoder, weights: dict[str, Tensor], *, where: str) -> None:
    """Fills the trunk of Inception-v3. Raises LimnerError for weights that are not of that network."""
    assert isinstance(encoder, InceptionRegions)
    try:
        encoder.trunk.load_state_dict(weights)
    except RuntimeError as error:
        raise LimnerError(f"{where} does not hold the trunk of Inception-v3: {' '.join(str(error).split()[:40])}. "
                          "Write it with limner.interop.attngan.convert_inception.") from None
