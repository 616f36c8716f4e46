"""Between the data room's pictures (uint8, three channels) and canvases (logits, one or three channels)."""

from __future__ import annotations

import torch
from torch import Tensor

_BRIGHTNESS = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601), as Pillow turns colour into grey. Equal channels stay what they are."""


def as_targets(images: Tensor, channels: int) -> Tensor:
    """uint8 (B, 3, H, H) to float32 (B, C, H, H) in 0..1; with one channel, their brightness."""
    pictures = images.float() / 255
    if channels == 1:
        weights = torch.tensor(_BRIGHTNESS, device=images.device).view(1, 3, 1, 1)
        pictures = (pictures * weights).sum(1, keepdim=True).clamp(max=1.0)
    return pictures.contiguous()


def as_pictures(probabilities: Tensor) -> Tensor:
    """Float (..., C, H, H) in 0..1 to uint8 (..., H, H, 3) on the CPU, rounded to nearest."""
    values = (probabilities.float() * 255).round().clamp(0, 255).to(torch.uint8)
    if values.shape[-3] == 1:
        values = values.expand(*values.shape[:-3], 3, *values.shape[-2:])
    return values.movedim(-3, -1).contiguous().cpu()
