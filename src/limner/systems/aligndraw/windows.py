"""The Gaussian windows through which DRAW reads the picture and writes on the canvas.

Source: Gregor et al. 2015, "DRAW: A Recurrent Neural Network For Image Generation", section 3.2.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Grid = Literal["paper", "official"]

_EPSILON = 1e-4
_LARGEST_LOGARITHM = 20.0
"""exp of it, 4.9e8, still leaves room in float32 for products of a few of them."""
_SMALLEST_EXPONENT = -60.0
"""exp of it, 9e-27, is as good as 0 beside the 1e-4; smaller ones give subnormal numbers, which are slow."""


def bounded(logarithms: Tensor) -> Tensor:
    """Logarithms held within -20..20, so that their exponentials stay finite; gradients pass as if nothing was done."""
    return _Bounded.apply(logarithms)


class _Bounded(torch.autograd.Function):
    """A plain clamp has no gradient beyond its bounds: a value that got there could never come back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.clamp(-_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Window(NamedTuple):
    """B windows of N x N filters on pictures of H x H pixels."""

    rows: Tensor
    """F_y (B, N, H): acts on the rows of a picture."""
    columns: Tensor
    """F_x (B, N, H): acts on the columns."""
    intensity: Tensor
    """gamma (B, 1)."""


class Geometry(NamedTuple):
    """Where windows lie, in pixels."""

    centre: Tensor
    """(B, 2): x and y; the pixels of the paper's grid are 1 to H, those of the official one 0 to H - 1."""
    stride: Tensor
    """delta (B, 1): distance of neighbouring filters."""
    variance: Tensor
    """sigma squared (B, 1)."""


def geometry(parameters: Tensor, *, size: int, count: int) -> Geometry:
    """Window parameters (B, 5) to places: (x, y, log stride, log variance, log intensity), all 0 for a window that
    spans the whole picture. Equations 21 to 24 of the paper."""
    centre = (size + 1) / 2 * (parameters[:, :2] + 1)
    stride = (size - 1) / max(count - 1, 1) * bounded(parameters[:, 2:3]).exp()
    return Geometry(centre, stride, bounded(parameters[:, 3:4]).exp())


def window(parameters: Tensor, *, size: int, count: int, grid: Grid = "paper") -> Window:
    """The filter banks of windows with parameters (B, 5), both axes at once.

    Every filter is a Gaussian over the pixels, divided by its sum plus 1e-4: a filter far outside the picture is
    nearly 0 everywhere instead of undefined. ``grid`` says where the centres lie: ``paper``, centred on the window and
    spanning pixels 1 to H when the parameters are 0; ``official``, as the released code has it (filters and pixels
    counted from 0, N / 2 rounded down). Source: equations 19, 20, 25, 26 of the paper.
    """
    centre, stride, variance = geometry(parameters, size=size, count=count)
    one = 1 if grid == "paper" else 0
    middle = count / 2 if grid == "paper" else count // 2
    filters = torch.arange(one, count + one, dtype=parameters.dtype, device=parameters.device) - middle - 0.5
    pixels = torch.arange(one, size + one, dtype=parameters.dtype, device=parameters.device)
    means = centre[:, :, None] + (stride * filters)[:, None]
    exponents = (pixels - means[..., None]).square() * (-0.5 / variance)[:, :, None, None]
    banks = exponents.clamp(min=_SMALLEST_EXPONENT).exp()
    banks = banks / (banks.sum(-1, keepdim=True) + _EPSILON)
    columns, rows = banks.unbind(1)
    return Window(rows, columns, bounded(parameters[:, 4:5]).exp())


def placed_window(parameters: Tensor, *, size: int, count: int, places: int, side: float) -> Window:
    """Windows of one side, each softly at one of ``places`` evenly spaced places on either axis.

    A window that is moved by numbers feels a pull from the pixels at its edge only, and a small one in the middle of a
    large canvas never learns to move. This one is everywhere at first, feels all places, and draws together.

    Args:
        parameters: (B, 2 K + 1): logits of the K rows, of the K columns, log intensity.
        side: of the square that the filters' centres span, as a share of the picture.
    """
    banks = _place_banks(size, count, places, side, parameters.device, parameters.dtype)
    with torch.autocast(parameters.device.type, enabled=False):
        rows, columns = (torch.mm(logits.softmax(1), banks.flatten(1)).unflatten(1, banks.shape[1:])
                         for logits in parameters[:, :2 * places].split(places, 1))
    return Window(rows, columns, bounded(parameters[:, 2 * places:]).exp())


@functools.cache
@torch.inference_mode(False)  # a painting may ask first, a training next
def _place_banks(size: int, count: int, places: int, side: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The filters of a window at every place (K, N, H), half as wide (standard deviation) as they stand apart."""
    stride = side * (size - 1) / (count - 1)
    filters = stride * (torch.arange(count) - (count - 1) / 2)
    pixels = torch.arange(1, size + 1) - _place_centres(size, places, side)[:, None, None]
    banks = (-(pixels - filters[:, None]).square() / (2 * (stride / 2) ** 2)).clamp(min=_SMALLEST_EXPONENT).exp()
    return (banks / (banks.sum(-1, keepdim=True) + _EPSILON)).to(device, dtype)


def _place_centres(size: int, places: int, side: float) -> Tensor:
    """Centres (K,) in pixels 1 to H: the first and the last window touch the edges."""
    half = side * (size - 1) / 2
    return torch.linspace(1 + half, size - half, places)


def read(pictures: Tensor, through: Window) -> Tensor:
    """Pictures (B, K, H, H), all K through one window, to ``gamma F_y picture F_x^T`` (B, K * N * N)."""
    batch, planes, height, width = pictures.shape
    count = through.rows.shape[1]
    with torch.autocast(pictures.device.type, enabled=False):  # places need more than the 8 bits of bfloat16
        narrow = torch.bmm(pictures.reshape(batch, planes * height, width), through.columns.transpose(1, 2))
        beside = narrow.view(batch, planes, height, count).transpose(1, 2).reshape(batch, height, planes * count)
        seen = torch.bmm(through.rows, beside).view(batch, count, planes, count).transpose(1, 2)
    return seen.reshape(batch, -1) * through.intensity


def write(patch: Tensor, through: Window, *, channels: int) -> Tensor:
    """Patches (B, C * N * N) to ``F_y^T patch F_x / gamma`` (B, C, H, H)."""
    batch, count, size = through.rows.shape
    scaled = (patch / through.intensity).view(batch, channels, count, count)
    beside = scaled.transpose(1, 2).reshape(batch, count, channels * count)
    with torch.autocast(patch.device.type, enabled=False):
        tall = torch.bmm(through.rows.transpose(1, 2), beside).view(batch, size, channels, count).transpose(1, 2)
        wide = torch.bmm(tall.reshape(batch, channels * size, count), through.columns)
    return wide.view(batch, channels, size, size)


def outline(parameters: Tensor, *, size: int, count: int, grid: Grid = "paper") -> Tensor:
    """Window parameters (B, 5) to x, y, side and sigma (B, 4) as fractions of the picture: the centre of the square
    that the filters' centres span, its side, and the width of a filter."""
    centre, stride, variance = geometry(parameters, size=size, count=count)
    if grid == "official":  # its pixels count from 0, and its filters' middle is not the window's
        centre = centre + 1 + stride * ((count - 1) / 2 - count // 2 - 0.5)
    return torch.cat([(centre - 0.5) / size, stride * (count - 1) / size, variance.sqrt() / size], 1)


def placed_outline(parameters: Tensor, *, size: int, count: int, places: int, side: float) -> Tensor:
    """What ``outline`` tells, of placed windows: their mean place."""
    centres = _place_centres(size, places, side).to(parameters)
    rows, columns = (logits.softmax(1) @ centres for logits in parameters[:, :2 * places].split(places, 1))
    fixed = torch.tensor([side * (size - 1) / size, side * (size - 1) / (count - 1) / 2 / size]).to(parameters)
    return torch.cat([torch.stack([columns - 0.5, rows - 0.5], 1) / size, fixed.expand(len(parameters), -1)], 1)
