"""Differentiable augmentation: the discriminator sees real and painted pictures through the same random changes.

Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, numbers: Tensor, policy: str) -> Tensor:
    """Changes pictures as a policy says.

    Args:
        images: (B, 3, S, S) in -1..1.
        numbers: uniform in 0..1, (B, 7): the random choices of each picture.
        policy: comma-separated choice of color (brightness +-0.5, saturation times 0 to 2, contrast times 0.5 to 1.5),
            translation (up to an eighth of the side, zeros come in), cutout (a square of half the side around a random
            centre is set to zero); empty for none.

    Returns:
        (B, 3, S, S), differentiable in ``images``.
    """
    chosen = set(filter(None, policy.split(",")))
    if "color" in chosen:
        images = _colour(images, numbers[:, :3])
    if "translation" in chosen:
        images = _translate(images, numbers[:, 3:5])
    if "cutout" in chosen:
        images = _cut_out(images, numbers[:, 5:7])
    return images


def _colour(images: Tensor, numbers: Tensor) -> Tensor:
    brightness, saturation, contrast = numbers.view(-1, 3, 1, 1, 1).to(images.dtype).unbind(1)
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    level = images.mean((1, 2, 3), keepdim=True)
    return level + (images - level) * (contrast + 0.5)


def _translate(images: Tensor, numbers: Tensor) -> Tensor:
    rows, side = len(images), images.shape[-1]
    reach = side // 8
    shifts = (numbers * (2 * reach + 1)).long().clamp_(max=2 * reach)
    places = torch.arange(side, device=images.device)
    padded = functional.pad(images, (reach, reach, reach, reach))
    down = (places + shifts[:, 1:2]).view(rows, 1, side, 1)
    right = (places + shifts[:, 0:1]).view(rows, 1, 1, side)
    moved = padded.gather(2, down.expand(-1, images.shape[1], -1, padded.shape[3]))
    moved = moved.gather(3, right.expand(-1, images.shape[1], side, -1))
    return moved.contiguous(memory_format=torch.channels_last)


def _cut_out(images: Tensor, numbers: Tensor) -> Tensor:
    side = images.shape[-1]
    centres = (numbers * side).floor()
    places = torch.arange(side, device=images.device)
    near = (places - centres[:, :, None] + 0.5).abs() < side / 4
    hidden = near[:, 1, :, None] & near[:, 0, None, :]
    return images * (~hidden[:, None]).to(images.dtype)
