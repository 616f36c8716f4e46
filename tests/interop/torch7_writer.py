"""A writer of Torch7's binary format, for the tests of the reader."""

import struct
from pathlib import Path

import numpy as np

NAMES = {
    "u1": "Byte",
    "i1": "Char",
    "i2": "Short",
    "i4": "Int",
    "i8": "Long",
    "f2": "Half",
    "f4": "Float",
    "f8": "Double",
}


class Object:
    """An object of a Torch class with fields."""

    def __init__(self, class_name, **fields):
        self.class_name = class_name
        self.fields = fields


class Tensor:
    """A tensor with a layout of its own; plain arrays are written contiguous."""

    def __init__(self, storage, sizes, strides, offset=1, *, cuda=False):
        self.storage, self.sizes, self.strides, self.offset, self.cuda = storage, sizes, strides, offset, cuda


class Function:
    """A Lua function, written with this type number."""

    def __init__(self, kind=8):
        self.kind = kind


class Writer:
    def __init__(self, *, versioned=True):
        self.out = bytearray()
        self.numbers = {}
        self.kept = []  # keeps objects alive, so that no id is used twice
        self.versioned = versioned

    def ints(self, *values):
        self.out += struct.pack(f"<{len(values)}i", *values)

    def longs(self, *values):
        self.out += struct.pack(f"<{len(values)}q", *values)

    def text(self, value):
        raw = value.encode()
        self.ints(len(raw))
        self.out += raw

    def first_time(self, value):
        self.kept.append(value)
        seen = id(value) in self.numbers
        self.ints(self.numbers.setdefault(id(value), len(self.numbers) + 1))
        return not seen

    def class_name(self, name):
        if self.versioned:
            self.text("V 1")
        self.text(name)

    def write(self, value):
        match value:
            case None:
                self.ints(0)
            case bool():
                self.ints(5, value)
            case int() | float():
                self.ints(1)
                self.out += struct.pack("<d", value)
            case str():
                self.ints(2)
                self.text(value)
            case list() | dict():
                self.ints(3)
                if self.first_time(value):
                    pairs = list(value.items() if isinstance(value, dict) else enumerate(value, 1))
                    self.ints(len(pairs))
                    for key, item in pairs:
                        self.write(key)
                        self.write(item)
            case np.ndarray():
                flat = np.ascontiguousarray(value)
                self.kept.append(flat)
                strides = [step // flat.itemsize for step in flat.strides]
                self.ints(4)
                if self.first_time(value):
                    self.tensor(Tensor(flat.reshape(-1), flat.shape, strides))
            case Tensor():
                self.ints(4)
                if self.first_time(value):
                    self.tensor(value)
            case Object():
                self.ints(4)
                if self.first_time(value):
                    self.class_name(value.class_name)
                    self.write(value.fields)
            case Function():
                self.ints(value.kind)
            case _:
                raise TypeError(type(value))

    def tensor(self, value):
        kind = NAMES[value.storage.dtype.str[1:]]
        cuda = "" if not value.cuda else "Cuda"
        kind = "" if value.cuda and kind == "Float" else kind
        self.class_name(f"torch.{cuda}{kind}Tensor")
        self.ints(len(value.sizes))
        self.longs(*value.sizes, *value.strides, value.offset)
        self.ints(4)
        if self.first_time(value.storage):
            self.class_name(f"torch.{cuda}{kind}Storage")
            self.longs(value.storage.size)
            self.out += value.storage.astype(value.storage.dtype.newbyteorder("<")).tobytes()


def torch7_bytes(value, *, versioned=True) -> bytes:
    writer = Writer(versioned=versioned)
    writer.write(value)
    return bytes(writer.out)


def write_torch7(path: Path, value, *, versioned=True) -> Path:
    path.write_bytes(torch7_bytes(value, versioned=versioned))
    return path
