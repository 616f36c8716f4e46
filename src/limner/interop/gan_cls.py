"""The authors' GAN-CLS checkpoints: whole Torch7 networks (``*_net_G.t7``, ``*_net_D.t7``) to our state."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from limner.errors import LimnerError
from limner.interop.torch7 import TorchObject, read_torch7
from limner.interop.torch7_modules import array, leaves, number, short_name, tensor
from limner.systems.gan_cls.networks import Discriminator, Generator

_KINDS = {
    "Linear": "linear",
    "SpatialConvolution": "convolution",
    "SpatialConvolutionMM": "convolution",
    "SpatialFullConvolution": "transposed convolution",
    "SpatialBatchNormalization": "batch normalisation",
    "BatchNormalization": "batch normalisation",
}
_SILENT = {"Identity", "JoinTable", "CAddTable", "Replicate", "View", "Reshape", "ReLU", "LeakyReLU", "Tanh", "Sigmoid"}
_EPSILON = 1e-5  # of every batch normalisation; others are refused
_SILENT |= {"Copy", "Contiguous", "Transpose"}


@dataclass(frozen=True)
class ImportedNetwork:
    """A network from a checkpoint."""

    kind: Literal["generator", "discriminator"]
    settings: dict[str, Any]
    """Arguments of ``Generator`` or ``Discriminator``, read off the shapes and layers of the file."""
    state: dict[str, torch.Tensor]
    """Complete state of that network, float32, for a strict ``load_state_dict``."""

    def build(self) -> Generator | Discriminator:
        """The network with its weights."""
        network = _network(self.kind, self.settings)
        network.load_state_dict(self.state)
        return network


def import_gan_cls(path: Path) -> ImportedNetwork:
    """Read a generator or a discriminator of the official code (nn or cudnn classes, CPU or CUDA tensors).

    The layers are taken in the order of the file. Their sequence tells the variant (``large``, ``text_batch_norm``,
    ``activate_conv2``, ``residual``), their shapes tell the sizes. Batch normalisation saved before May 2016 holds
    ``running_std`` = 1 / sqrt(var + eps), which becomes the running variance.

    Raises:
        LimnerError: not a Torch7 file, or a network of another architecture; the message tells what was found.
    """
    found = leaves(read_torch7(path), path)
    unknown = sorted({layer.class_name for layer in found if short_name(layer) not in _KINDS.keys() | _SILENT})
    if unknown:
        raise LimnerError(f"{path} holds layers that GAN-CLS does not have: {', '.join(unknown[:8])}.")
    slopes = {number(layer, "negval", 0.2, path) for layer in found if short_name(layer) == "LeakyReLU"}
    if slopes - {0.2}:
        raise LimnerError(f"{path} holds leaky ReLUs of the slopes {slopes}; those of GAN-CLS have 0.2.")
    layers = [layer for layer in found if short_name(layer) in _KINDS]
    kind = "generator" if any(short_name(layer) == "SpatialFullConvolution" for layer in layers) else "discriminator"
    named, switches = _named_layers(kind, layers, path)
    if kind == "discriminator":
        after = found[found.index(named["conv2_bn"]) + 1]
        switches["activate_conv2"] = short_name(after) == "LeakyReLU"
    smallest = _smallest_network(kind, switches)
    weights = {name: _weights(layer, smallest.get_submodule(name), path) for name, layer in named.items()}
    settings = _sizes(kind, weights) | switches
    with torch.device("meta"):
        network = _network(kind, settings)
    state: dict[str, torch.Tensor] = {}
    for name, values in weights.items():
        _check_geometry(name, named[name], network.get_submodule(name), path)
        state |= {f"{name}.{field}": value for field, value in values.items()}
    for name, expected in network.state_dict().items():
        if state[name].shape != expected.shape:
            raise LimnerError(
                f"{path}: {name} has the shape {tuple(state[name].shape)}; the other layers ask for "
                f"{tuple(expected.shape)}. This is not an official GAN-CLS {kind}."
            )
    return ImportedNetwork(kind, settings, {name: state[name] for name in network.state_dict()})


def _network(kind: str, settings: dict[str, Any]) -> Generator | Discriminator:
    return Generator(**settings) if kind == "generator" else Discriminator(**settings)


def _bottleneck(name: str) -> list[str]:
    return [f"{name}.{part}{number}" for number in (1, 2, 3) for part in ("c", "bn")]


def _generator_layers(large: bool) -> list[str]:
    res4, res8 = (_bottleneck(name) + (_bottleneck(f"{name}b") if large else []) for name in ("res4", "res8"))
    last = ["up2", "up2_bn", "up3", "up3_bn", "to_rgb"]
    return ["txt_fc", "up0", "up0_bn", *res4, "up1", "up1_bn", *res8, *last]


def _discriminator_layers(text_batch_norm: bool, residual: bool) -> list[str]:
    first = ["conv0", "conv1", "conv1_bn", "conv2", "conv2_bn", "conv3", "conv3_bn"]
    text = ["txt_fc", "txt_bn"] if text_batch_norm else ["txt_fc"]
    return [*first, *(_bottleneck("res4") if residual else []), *text, "joint", "joint_bn", "score"]


def _named_layers(kind: str, layers: list[TorchObject], path: Path) -> tuple[dict[str, TorchObject], dict[str, bool]]:
    """Give the layers of the file our names, by the one variant whose sequence of layers is the same."""
    variants: list[tuple[list[str], dict[str, bool]]]
    if kind == "generator":
        variants = [(_generator_layers(large), {"large": large}) for large in (False, True)]
    else:
        variants = [
            (_discriminator_layers(norm, residual), {"text_batch_norm": norm, "residual": residual})
            for norm in (True, False)
            for residual in (True, False)
        ]
    found = [_KINDS[short_name(layer)] for layer in layers]
    for names, switches in variants:
        network = _smallest_network(kind, switches)
        if [_kind_of(network.get_submodule(name)) for name in names] == found:
            return dict(zip(names, layers, strict=True)), switches
    counts = {name: found.count(name) for name in dict.fromkeys(found)}
    listed = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no layer with weights"
    raise LimnerError(f"{path} is not an official GAN-CLS {kind}: its layers ({listed}) stand in another order.")


def _smallest_network(kind: str, switches: dict[str, bool]) -> nn.Module:
    """A network of that variant with the right layers and kernels and the least channels, without memory."""
    with torch.device("meta"):
        return _network(kind, {**switches, "width": 1, "text_projection": 1, "text_size": 1})


def _kind_of(module: nn.Module) -> str:
    match module:
        case nn.Linear():
            return "linear"
        case nn.ConvTranspose2d():
            return "transposed convolution"
        case nn.Conv2d():
            return "convolution"
    return "batch normalisation"


def _sizes(kind: str, weights: dict[str, dict[str, torch.Tensor]]) -> dict[str, Any]:
    projection, text_size = weights["txt_fc"]["weight"].shape
    sizes = {"text_size": text_size, "text_projection": projection}
    if kind == "generator":
        sizes["noise_size"] = max(weights["up0"]["weight"].shape[0] - projection, 1)
        return sizes | {"width": weights["up3"]["weight"].shape[1]}
    return sizes | {"width": weights["conv0"]["weight"].shape[0]}


def _weights(layer: TorchObject, like: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """The state of one layer in PyTorch's layout; ``like`` is the same layer with fewer channels."""
    weight = array(layer, "weight", path)
    kind = _KINDS[short_name(layer)]
    if isinstance(like, nn.Conv2d) and weight.ndim == 2 and weight.shape[1] % math.prod(like.kernel_size) == 0:
        weight = weight.reshape(len(weight), -1, *like.kernel_size)  # the MM class keeps each filter as one row
    if weight.ndim != {"linear": 2, "batch normalisation": 1}.get(kind, 4):
        raise LimnerError(f"{path}: the weight of a {layer.class_name} has the shape {weight.shape}.")
    if layer.fields.get("bias") is None and "convolution" in kind:
        bias = np.zeros(weight.shape[1] if kind.startswith("transposed") else len(weight))  # saved without bias
    else:
        bias = array(layer, "bias", path)
    values = {"weight": tensor(weight), "bias": tensor(bias)}
    if kind == "batch normalisation":
        values["running_mean"] = tensor(array(layer, "running_mean", path))
        values["running_var"] = tensor(_running_variance(layer, path))
        values["num_batches_tracked"] = torch.tensor(0)
    return values


def _running_variance(layer: TorchObject, path: Path) -> np.ndarray:
    if layer.fields.get("running_std") is None:
        return array(layer, "running_var", path)
    inverse = array(layer, "running_std", path).astype(np.float64)
    if (inverse <= 0).any():
        raise LimnerError(f"{path}: 'running_std' of a {layer.class_name} holds values that are not positive.")
    return np.maximum(inverse**-2 - _EPSILON, 0)


def _check_geometry(name: str, layer: TorchObject, module: nn.Module, path: Path) -> None:
    """Refuse strides, paddings and epsilons that the shapes do not show but that change what a layer does."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        stride, padding = module.stride[0], int(module.padding[0])
        expected = {"dW": stride, "dH": stride, "padW": padding, "padH": padding, "adjW": 0, "adjH": 0}
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        expected = {"eps": module.eps}
    else:
        expected = {}
    for field, value in expected.items():
        given = number(layer, field, value, path)
        if given != value:
            raise LimnerError(f"{path}: {name} has {field} = {given} and the official GAN-CLS network {value}.")
