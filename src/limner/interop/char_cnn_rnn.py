"""The authors' text encoder checkpoints (char-CNN-RNN, word-CNN-RNN): Torch7 graphs to our state."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner.errors import LimnerError
from limner.interop.torch7 import LuaTable, TorchObject, read_torch7
from limner.interop.torch7_modules import array, children, leaves, short_name, tensor
from limner.text.char_cnn_rnn import ConvolutionalRecurrentEncoder, temporal_convolution_weight
from limner.text.config import PATTERNS, Layer, TextEncoderConfig

_LENGTHS = {"characters": 201, "words": 30}
# Positions (from 0) of the containers whose first module is a linear map, in the graph of the unrolled recurrence.
_POSITIONS = {
    "relu": {"input_to_hidden": 1, "hidden_to_hidden": 5},
    "gated": {
        "input_to_hidden": 1, "input_to_update": 4, "hidden_to_update": 5, "input_to_reset": 9,
        "hidden_to_reset": 10, "hidden_to_hidden": 14,
    },
}  # fmt: skip


@dataclass(frozen=True)
class ImportedTextEncoder:
    """A text encoder from a checkpoint."""

    config: TextEncoderConfig
    """Architecture and sizes, read off the layers of the file."""
    vocabulary_size: int
    """Highest token index: 70 characters, or the number of words."""
    state: dict[str, torch.Tensor]
    """Complete state of the encoder that the configuration builds, float32."""


def import_char_cnn_rnn(path: Path) -> ImportedTextEncoder:
    """Read the text encoder of a checkpoint of the official code (birds, flowers, COCO; ReLU or gated recurrence).

    Takes the table of a training checkpoint (``protos``, ``enc_doc``) as well as the bare graph of the COCO encoder.
    Whether the states are averaged stands in the checkpoint's options only (``opt.avg``); without them the released
    networks' answer holds: they are.

    Raises:
        LimnerError: not a Torch7 file, or another network than the hybrid encoders; the message tells what was found.
    """
    content = read_torch7(path)
    graph = content
    for key in ("protos", "enc_doc"):
        graph = graph.get(key) if isinstance(graph, LuaTable) else graph
    parts = children(graph)
    if len(parts) < 6:
        raise LimnerError(f"{path} holds no text encoder: a graph of convolutions, a recurrence and a linear map.")
    layers, convolutions = _trunk(parts[1], path)
    recurrence, state = _recurrence(parts[3], path)
    names = [n for n, p in PATTERNS.items() if p.layers == layers and p.recurrence == recurrence]
    if not names:
        listed = ", ".join(f"convolution {kernel} pool {pool}/{stride}" for kernel, pool, stride in layers)
        raise LimnerError(f"{path} holds no known text encoder: {listed}, {recurrence} recurrence.")
    state |= _linear(parts[5], "projection", path)
    options = content.get("opt") if isinstance(content, LuaTable) else None
    average = options.get("avg", 1) if isinstance(options, LuaTable) else 1
    if not isinstance(average, int | float):
        raise LimnerError(f"{path}: the option 'avg' is a {type(average).__name__} and not 0 or 1.")
    config = TextEncoderConfig(
        architecture=names[0],
        widths=tuple(len(weight) for weight, _ in convolutions),
        length=_LENGTHS[PATTERNS[names[0]].reads],
        embedding=len(state["projection.weight"]),
        average=bool(average) or recurrence == "relu",  # the ReLU recurrence always averages
    )
    position, trunk = 0, {}
    for layer, (weight, bias) in zip(layers, convolutions, strict=True):
        trunk |= {f"trunk.{position}.weight": tensor(weight), f"trunk.{position}.bias": tensor(bias)}
        position += 3 if layer.pool > 1 else 2
    state = trunk | state
    vocabulary_size = convolutions[0][0].shape[1]
    with torch.device("meta"):
        expected = ConvolutionalRecurrentEncoder(config, vocabulary_size).state_dict()
    for name, like in expected.items():
        if state[name].shape != like.shape:
            raise LimnerError(
                f"{path}: {name} has the shape {tuple(state[name].shape)}; the other layers ask for "
                f"{tuple(like.shape)}."
            )
    return ImportedTextEncoder(config, vocabulary_size, {name: state[name] for name in expected})


def _trunk(module: TorchObject, path: Path) -> tuple[tuple[Layer, ...], list[tuple[np.ndarray, np.ndarray]]]:
    """The convolutions with the poolings after them, and their weights (out, in, kernel) and biases."""
    layers: list[Layer] = []
    weights = []
    for leaf in leaves(module, path):
        kernel, stride = leaf.fields.get("kW"), leaf.fields.get("dW")
        if short_name(leaf) == "TemporalConvolution" and type(kernel) is int and kernel > 0:
            layers.append(Layer(kernel))
            weight, bias = array(leaf, "weight", path), array(leaf, "bias", path)
            weights.append((temporal_convolution_weight(weight, kernel), bias))
        elif (
            short_name(leaf) == "TemporalMaxPooling" and layers and isinstance(kernel, int) and isinstance(stride, int)
        ):
            layers[-1] = Layer(layers[-1].kernel, kernel, stride)
        elif short_name(leaf) not in {"Threshold", "ReLU", "Identity", "Dropout", "SplitTable", "Reshape", "View"}:
            raise LimnerError(f"{path}: the convolutions of a text encoder have no {leaf.class_name}.")
    if not layers:
        raise LimnerError(f"{path}: there are no convolutions where a text encoder has them.")
    return tuple(layers), weights


def _recurrence(module: TorchObject, path: Path) -> tuple[str, dict[str, torch.Tensor]]:
    """The kind of recurrence, told by the number of linear maps that differ, and its state."""
    parts = children(module)
    maps = {array(part, "weight", path).tobytes() for part in leaves(module, path) if short_name(part) == "Linear"}
    kind = {2: "relu", 6: "gated"}.get(len(maps))
    if kind is None:
        raise LimnerError(f"{path}: a recurrence has 2 or 6 linear maps and not {len(maps)}.")
    state: dict[str, torch.Tensor] = {}
    for name, position in _POSITIONS[kind].items():
        if position >= len(parts):
            raise LimnerError(f"{path}: the recurrence ends before its map {name}.")
        state |= _linear(parts[position], f"recurrence.{name}", path)
    return kind, state


def _linear(module: Any, name: str, path: Path) -> dict[str, torch.Tensor]:
    below = leaves(module, path)
    if not below or short_name(below[0]) != "Linear":
        found = below[0].class_name if below else "nothing"
        raise LimnerError(f"{path}: there is {found} where a text encoder has the linear map {name}.")
    layer = below[0]
    return {f"{name}.{field}": tensor(array(layer, field, path)) for field in ("weight", "bias")}
