"""The module trees of the official Lua scripts with given weights, ready for the writer of Torch7 files."""

import numpy as np
from hypothesis import strategies as st
from tests.interop.torch7_writer import Object

STRANGE = [
    None, True, -1, 0, 3, 0.5, float("nan"), "text", {}, [1, 2], {"a": [{}]}, np.zeros(3), np.ones((2, 3), "i4"),
    np.full(4, np.inf), np.zeros(0), np.ones((1, 2, 1, 2, 1), "f2"), Object("nn.Identity"), [Object("nn.Linear")],
]  # fmt: skip


def modules_below(module):
    modules = module.fields.get("modules")
    return [m for m in modules if isinstance(m, Object)] if isinstance(modules, list) else []


def replace_a_field(tree, data):
    """Give a random module below a tree a strange value in one of its fields."""
    module = tree
    while below := modules_below(module):
        if module is not tree and data.draw(st.integers(0, 5)) == 0:
            break
        module = data.draw(st.sampled_from(below))
    if module.fields:
        module.fields[data.draw(st.sampled_from(sorted(module.fields)))] = data.draw(st.sampled_from(STRANGE))


class Tree:
    """Makes Torch7 modules; the options choose what other versions of Torch wrote."""

    def __init__(self, weights, *, package="nn", matrices=False, running_std=False):
        self.weights, self.package, self.matrices, self.running_std = weights, package, matrices, running_std

    def of(self, name, field):
        return np.ascontiguousarray(self.weights[f"{name}.{field}"], dtype=np.float32)

    def trainable(self, name):
        weight, bias = self.of(name, "weight"), self.of(name, "bias")
        gradients = {"gradWeight": np.zeros_like(weight), "gradBias": np.zeros_like(bias)}
        return {"weight": weight, "bias": bias, "train": True, "output": np.zeros(0, np.float32)} | gradients

    def convolution(self, name, stride, padding):
        fields = self.trainable(name)
        out, inputs, height, width = fields["weight"].shape
        sizes = {"nInputPlane": inputs, "nOutputPlane": out, "kW": width, "kH": height}
        steps = {"dW": stride, "dH": stride, "padW": padding, "padH": padding}
        if self.matrices:
            fields["weight"] = fields["weight"].reshape(out, -1)
            return Object("nn.SpatialConvolutionMM", **fields, **sizes, **steps)
        return Object(f"{self.package}.SpatialConvolution", **fields, **sizes, **steps)

    def transposed(self, name, stride, padding):
        fields = self.trainable(name)
        inputs, out, height, width = fields["weight"].shape
        sizes = {"nInputPlane": inputs, "nOutputPlane": out, "kW": width, "kH": height, "adjW": 0, "adjH": 0}
        steps = {"dW": stride, "dH": stride, "padW": padding, "padH": padding}
        return Object(f"{self.package}.SpatialFullConvolution", **fields, **sizes, **steps)

    def norm(self, name, class_name="SpatialBatchNormalization"):
        fields = self.trainable(name) | {"running_mean": self.of(name, "running_mean"), "eps": 1e-5, "momentum": 0.1}
        variance = self.of(name, "running_var")
        if self.running_std:
            fields["running_std"] = (1 / np.sqrt(variance.astype(np.float64) + 1e-5)).astype(np.float32)
        else:
            fields["running_var"] = variance
        return Object(f"{self.package}.{class_name}", **fields)

    def linear(self, name):
        return Object("nn.Linear", **self.trainable(name))


def chain(*modules):
    return Object("nn.Sequential", modules=list(modules), train=True)


def leaky():
    return Object("nn.LeakyReLU", negval=0.2, inplace=True)


def relu():
    return Object("nn.ReLU", threshold=0, val=0, inplace=True)


def bottleneck(tree, name, activation):
    branch = []
    for number, padding in ((1, 0), (2, 1), (3, 1)):
        branch += [tree.convolution(f"{name}_c{number}", 1, padding), tree.norm(f"{name}_bn{number}")]
        branch += [activation()] if number < 3 else []
    return [Object("nn.ConcatTable", modules=[Object("nn.Identity"), chain(*branch)]), Object("nn.CAddTable")]


def generator(tree, *, large=False):
    text = chain(tree.linear("txt_fc"), leaky())
    inputs = Object("nn.ParallelTable", modules=[Object("nn.Identity"), text])
    modules = [inputs, Object("nn.JoinTable", dimension=2), tree.transposed("up0", 1, 0), tree.norm("up0_bn")]
    modules += bottleneck(tree, "res4", relu) + (bottleneck(tree, "res4b", relu) if large else []) + [relu()]
    modules += [tree.transposed("up1", 2, 1), tree.norm("up1_bn")]
    modules += bottleneck(tree, "res8", relu) + (bottleneck(tree, "res8b", relu) if large else []) + [relu()]
    for name in ("up2", "up3"):
        modules += [tree.transposed(name, 2, 1), tree.norm(f"{name}_bn"), relu()]
    return chain(*modules, tree.transposed("to_rgb", 2, 1), Object("nn.Tanh"))


def discriminator(tree, *, activate_conv2, text_batch_norm, residual=True):
    image = [tree.convolution("conv0", 2, 1), leaky()]
    for name in ("conv1", "conv2", "conv3"):
        image += [tree.convolution(name, 2, 1), tree.norm(f"{name}_bn")]
        image += [leaky()] if name == "conv1" or (name == "conv2" and activate_conv2) else []
    if residual:
        image += bottleneck(tree, "res4", leaky)
    image.append(leaky())
    text = [tree.linear("txt_fc"), *([tree.norm("txt_bn", "BatchNormalization")] if text_batch_norm else []), leaky()]
    text += [Object("nn.Replicate", nfeatures=4, dim=3), Object("nn.Replicate", nfeatures=4, dim=4)]
    both = Object("nn.ParallelTable", modules=[chain(*image), chain(*text)])
    joint = [tree.convolution("joint", 1, 0), tree.norm("joint_bn"), leaky(), tree.convolution("score", 1, 0)]
    return chain(both, Object("nn.JoinTable", dimension=2), *joint, Object("nn.Sigmoid"), Object("nn.View", size=[1]))
