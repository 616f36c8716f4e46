"""The standard Inception network of the Frechet Inception distance.

It is the network of the TensorFlow release of 2015-12-05, whose weights pytorch-fid publishes for PyTorch. It differs
from Inception-v3 as ``limner.vision.inception`` has it in two ways: means of 3x3 neighbours leave out what lies beyond
the border, and the last block takes the largest of the neighbours. Source: Heusel et al. 2017; Salimans et al. 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.errors import LimnerError
from limner.files import sha256
from limner.interop.torch_checkpoint import read_torch_checkpoint
from limner.nn.layout import channels_last
from limner.vision.inception import InceptionE, InceptionTrunk

STANDARD_HASH = "6726825d"
"""What the SHA-256 of the standard file begins with; it is part of the file's name."""
STANDARD_FILE = f"pt_inception-2015-12-05-{STANDARD_HASH}.pth"
CLASSES = 1008
_SIZE = 299
_MEANS = ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b")
"""Blocks that take a mean of neighbours."""


class LargestPoolBlock(InceptionE):
    """The last block: as Mixed_7b, but its pool takes the largest of the 3x3 neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, 2048, H, W)."""
        single, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat([
            self.branch1x1(x), self.branch3x3_2a(single), self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double),
            self.branch_pool(functional.max_pool2d(x, 3, stride=1, padding=1)),
        ], dim=1)


class FidInception(nn.Module):
    """The network, with weights by torchvision's names (``fc`` included)."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Raises LimnerError for weights of another network."""
        super().__init__()
        self.trunk = InceptionTrunk()
        self.trunk.Mixed_7c = LargestPoolBlock(2048)
        self.fc = nn.Linear(2048, CLASSES)
        own = {name if name.startswith("fc.") else f"trunk.{name}": value for name, value in weights.items()}
        try:
            missing, unknown = self.load_state_dict(own, strict=False)
        except RuntimeError as error:
            raise LimnerError(f"the weights are not of the standard Inception network: "
                              f"{' '.join(str(error).split()[:30])}.") from None
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing or unknown:
            raise LimnerError(f"the weights are not of the standard Inception network: {(missing + unknown)[0]} is "
                              f"{'missing' if missing else 'too much'}.")
        for name in _MEANS:
            self.trunk.get_submodule(f"Mixed_{name}.branch_pool").register_forward_pre_hook(_without_the_border)
        channels_last(self).eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in -1..1, any S, to features (B, 2048); bilinear to 299, without antialiasing."""
        if images.shape[-2:] != (_SIZE, _SIZE):
            images = functional.interpolate(images, (_SIZE, _SIZE), mode="bilinear", align_corners=False)
        return self.trunk(images).pooled

    def probabilities(self, features: Tensor) -> Tensor:
        """Features (B, 2048) to class probabilities (B, 1008), without the bias, as the Inception score has them."""
        return (features @ self.fc.weight.T).softmax(1)


def load_fid_inception(path: Path) -> FidInception:
    """The standard network from its file. Raises LimnerError for any other file."""
    if not path.is_file():
        raise LimnerError(f"there is no file {path}; fid, kid and inception-score need {STANDARD_FILE}, which the "
                          "pytorch-fid project publishes.")
    digest = sha256(path)
    if not digest.startswith(STANDARD_HASH):
        raise LimnerError(
            f"{path} is not the standard Inception file {STANDARD_FILE} (its SHA-256 begins with {digest[:8]}): a "
            "Frechet distance on other weights is never called FID. Take --pretrained FOLDER and fd-pretrained, or "
            "fd-oracle, for other features.")
    return FidInception(read_torch_checkpoint(path))


def _without_the_border(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    """From the mean that counts zeros beyond the border to that of the pixels within."""
    pooled = inputs[0]
    within = functional.avg_pool2d(pooled.new_ones(1, 1, *pooled.shape[2:]), 3, stride=1, padding=1)
    return (pooled / within,)
