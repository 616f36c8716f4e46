"""The char-CNN-RNN family and its word and convolution-only variants (Reed et al., CVPR 2016; ICML 2016).

Every network reads index arrays (0 = empty step) through the same convolution trunk, then either runs one of the two
hand-made recurrences over the trunk's time steps or flattens them, and ends in a linear map. No step is masked: the
empty steps after a caption are read like any other, as in the released networks.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.text.config import Layer, TextEncoderConfig

THRESHOLD = 1e-6
"""Torch7's default: an activation passes if it is larger than this, else it is 0 (not exactly a ReLU)."""


def temporal_convolution_weight(torch7: np.ndarray, kernel: int) -> np.ndarray:
    """Turns the weight of Torch7's TemporalConvolution into that of ``OneHotConvolution`` and ``nn.Conv1d``.

    ``torch7`` is (out, kernel * in) with column k * in + c; the result is (out, in, kernel), contiguous, same dtype.
    """
    if torch7.ndim != 2 or torch7.shape[1] % kernel:
        raise LimnerError(f"A temporal convolution of kernel {kernel} needs a weight (out, {kernel} * in), got "
                          f"{torch7.shape}.")
    return np.ascontiguousarray(torch7.reshape(len(torch7), kernel, -1).transpose(0, 2, 1))


class OneHotConvolution(nn.Module):
    """A valid convolution over the one-hot rows of index tokens, without ever making the rows.

    Same parameters and result as ``nn.Conv1d(vocabulary_size, channels, kernel)`` on one-hot input (index 0: a row of
    zeros). Each window is the sum of ``kernel`` rows of a table; ``benchmarks/text_encoders.py`` times it against the
    dense convolution.
    """

    def __init__(self, vocabulary_size: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(channels, vocabulary_size, kernel))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), int64, 0..vocabulary_size -> (B, channels, T - kernel + 1)."""
        channels, vocabulary_size, kernel = self.weight.shape
        require_indices(tokens, vocabulary_size)
        # One row of zeros before each tap's rows, so that index 0 adds nothing.
        table = F.pad(self.weight.permute(2, 1, 0), (0, 0, 1, 0)).reshape(-1, channels)
        taps = torch.arange(kernel, device=tokens.device) * (vocabulary_size + 1)
        windows = tokens.unfold(1, kernel, 1) + taps
        sums = F.embedding_bag(windows.reshape(-1, kernel), table, mode="sum").view(*windows.shape[:2], channels)
        return (sums + self.bias).transpose(1, 2)


class TemporalConvolution(nn.Conv1d):
    """``nn.Conv1d`` (B, C, T) computed as a 2-D convolution of height 1, which keeps the channels-last memory order.

    Torch has no channels-last form of the 1-D operations; with this one and ``TemporalMaxPool`` nothing is transposed
    between the first convolution and the recurrence.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input.unsqueeze(2), self.weight.unsqueeze(2), self.bias).squeeze(2)


class TemporalMaxPool(nn.Module):
    """Valid max-pooling over time, (B, C, T) -> (B, C, steps), in channels-last memory order."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.width = width
        self.stride = stride

    def forward(self, values: Tensor) -> Tensor:
        return F.max_pool2d(values.unsqueeze(2), (1, self.width), (1, self.stride)).squeeze(2)


class ReluRecurrence(nn.Module):
    """h_1 = relu(W x_1 + b); h_t = relu(W x_t + b + U h_{t-1} + c). The bias c is absent from the first step."""

    def __init__(self, inputs: int, states: int) -> None:
        super().__init__()
        self.input_to_hidden = nn.Linear(inputs, states)
        self.hidden_to_hidden = nn.Linear(states, states)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (B, T, inputs) -> every state (B, T, states)."""
        driven = self.input_to_hidden(inputs).unbind(1)
        states = [F.relu(driven[0])]
        for drive in driven[1:]:
            states.append(F.relu(drive + self.hidden_to_hidden(states[-1])))
        return torch.stack(states, dim=1)


class GatedRecurrence(nn.Module):
    """The released gated recurrence; three things differ from ``nn.GRU``.

    h_1 = tanh(W x_1 + b); then u = sigmoid(W_u x + b_u + U_u h + c_u), r = sigmoid(W_r x + b_r + U_r h + c_r),
    n = tanh(W x + b + U (r * h) + c) and h' = u * n + (1 - u) * h: the reset gate acts before U, the update gate opens
    towards the new state, and the first step has no gates.
    """

    def __init__(self, inputs: int, states: int) -> None:
        super().__init__()
        self.input_to_hidden = nn.Linear(inputs, states)
        self.input_to_update = nn.Linear(inputs, states)
        self.input_to_reset = nn.Linear(inputs, states)
        self.hidden_to_hidden = nn.Linear(states, states)
        self.hidden_to_update = nn.Linear(states, states)
        self.hidden_to_reset = nn.Linear(states, states)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (B, T, inputs) -> every state (B, T, states)."""
        driven = self.input_to_hidden(inputs).unbind(1)
        driven_update = self.input_to_update(inputs).unbind(1)
        driven_reset = self.input_to_reset(inputs).unbind(1)
        state = torch.tanh(driven[0])
        states = [state]
        for drive, drive_update, drive_reset in zip(driven[1:], driven_update[1:], driven_reset[1:], strict=True):
            update = torch.sigmoid(drive_update + self.hidden_to_update(state))
            reset = torch.sigmoid(drive_reset + self.hidden_to_reset(state))
            new = torch.tanh(drive + self.hidden_to_hidden(reset * state))
            state = update * new + (1 - update) * state
            states.append(state)
        return torch.stack(states, dim=1)


def convolution_trunk(vocabulary_size: int, widths: tuple[int, ...], layers: tuple[Layer, ...]) -> nn.Sequential:
    """Convolution, threshold and pooling per layer: tokens (B, T) -> (B, widths[-1], steps)."""
    modules: list[nn.Module] = []
    inputs = vocabulary_size
    for number, (width, layer) in enumerate(zip(widths, layers, strict=True)):
        kind = OneHotConvolution if number == 0 else TemporalConvolution
        modules += [kind(inputs, width, layer.kernel), nn.Threshold(THRESHOLD, 0.0)]
        if layer.pool > 1:
            modules.append(TemporalMaxPool(layer.pool, layer.stride))
        inputs = width
    return nn.Sequential(*modules)


class ConvolutionalRecurrentEncoder(nn.Module):
    """Trunk, recurrence over its time steps, mean (or last) state, linear map."""

    def __init__(self, config: TextEncoderConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens_per_caption = config.length
        self.average = config.average
        self.vocabulary_size = vocabulary_size
        states = config.widths[-1]
        self.trunk = convolution_trunk(vocabulary_size, config.widths, config.pattern.layers)
        kind = GatedRecurrence if config.pattern.recurrence == "gated" else ReluRecurrence
        self.recurrence = kind(states, states)
        self.projection = nn.Linear(states, config.embedding)

    def states(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) -> every recurrent state (B, steps, states)."""
        require_length(tokens, self.tokens_per_caption)
        return self.recurrence(self.trunk(tokens).transpose(1, 2))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), int64, 0 = empty -> caption vectors (B, D)."""
        states = self.states(tokens)
        return self.projection(states.mean(dim=1) if self.average else states[:, -1])


class ConvolutionalEncoder(nn.Module):
    """Trunk, its time steps joined (time-major), one or two linear maps with nothing between them."""

    def __init__(self, config: TextEncoderConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens_per_caption = config.length
        self.vocabulary_size = vocabulary_size
        convolutions, hidden = config.widths[:3], config.widths[3:]
        self.trunk = convolution_trunk(vocabulary_size, convolutions, config.pattern.layers)
        sizes = (config.steps * convolutions[-1], *hidden, config.embedding)
        self.projection = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), int64, 0 = empty -> caption vectors (B, D)."""
        require_length(tokens, self.tokens_per_caption)
        return self.projection(self.trunk(tokens).transpose(1, 2).flatten(1))


def require_length(tokens: Tensor, length: int) -> None:
    """Refuses token tensors that are not (B, length)."""
    if tokens.ndim != 2 or tokens.shape[1] != length:
        raise LimnerError(f"The text encoder reads tokens of shape (B, {length}), got {tuple(tokens.shape)}; "
                          "encode the captions with the tokeniser that belongs to it.")


def require_indices(tokens: Tensor, vocabulary_size: int) -> None:
    """Refuses indices outside 0..vocabulary_size."""
    outside = (tokens < 0) | (tokens > vocabulary_size)
    if outside.any():
        raise LimnerError(f"The text encoder knows the indices 0 to {vocabulary_size}, got {int(tokens[outside][0])}; "
                          "encode the captions with the tokeniser that belongs to it.")
