"""Reading Torch7's binary files (``.t7``) into plain Python, without running anything that they hold.

The format (little-endian, 8-byte longs, as written on 64-bit Linux): every value is a 4-byte type, then its content.
Tables and objects carry a number, so that a later mention of the same number means the same thing. A Torch class
writes a version and a name; tensors and storages write their numbers, any other class one table of its fields.
"""

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from limner.errors import LimnerError
from limner.interop.restricted_pickle import MAX_BYTES, check_size

MAX_DEPTH = 10_000
_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = range(6)
_FUNCTIONS = (6, 7, 8)
_ELEMENTS = {
    "Byte": "u1", "Char": "i1", "Short": "i2", "Int": "i4", "Long": "i8", "Half": "f2", "Float": "f4", "Double": "f8",
}  # fmt: skip
_STORAGES = {f"torch.{name}Storage": f"<{code}" for name, code in _ELEMENTS.items()}
_STORAGES |= {f"torch.Cuda{name}Storage": f"<{code}" for name, code in _ELEMENTS.items()}
_STORAGES["torch.CudaStorage"] = "<f4"
_TENSORS = {name.replace("Storage", "Tensor"): code for name, code in _STORAGES.items()}
# An expanded tensor (stride 0) may show more elements than its storage has; this many more at most.
_MAX_EXPANSION = 1 << 26


class LuaTable(dict[Any, Any]):
    """A Lua table: a dictionary that is equal to itself alone, so that it can be a key, as in Lua."""

    def __hash__(self) -> int:  # pyrefly: ignore
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def items_in_order(self) -> list[Any]:
        """The values of the keys 1, 2, ..., up to the first that is missing."""
        values = []
        while len(values) + 1 in self:
            values.append(self[len(values) + 1])
        return values


@dataclass(eq=False)
class TorchObject:
    """An object of a Torch class that is neither tensor nor storage: the class's name and its fields."""

    class_name: str
    fields: LuaTable = field(default_factory=LuaTable, repr=False)


def read_torch7(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a Torch7 binary file.

    Lua number -> int where it is whole, else float; string -> str (UTF-8; other bytes as surrogate escapes);
    table -> :class:`LuaTable`, a dictionary (lists have the keys 1, 2, ...); nil -> None; tensor and storage -> NumPy
    array (read-only, sharing memory as in the file; an empty tensor has shape (0,)); any other Torch class ->
    :class:`TorchObject`. Tables may contain themselves, as in Torch7.

    Raises:
        LimnerError: no such file, not a Torch7 binary file, cut short, larger than ``max_bytes``, or holding functions
            or classes with a format of their own (tds). Nothing in the file has run.
    """
    check_size(path, max_bytes)
    return _Reader(path).read()


@dataclass
class _Open:
    """A table or an object that is being read: values still to come are counted down."""

    value: LuaTable | TorchObject
    left: int  # keys and values of a table; for an object, its one table
    key: Any = None


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        self.position = 0
        self.known: dict[int, Any] = {}
        self.opened: list[_Open] = []

    def fail(self, reason: str) -> NoReturn:
        raise LimnerError(
            f"{self.path} is not a whole Torch7 binary file: {reason} (byte {self.position}). Nothing in it has run. "
            "Fetch or copy it again; files in Torch7's ASCII format or from 32-bit machines are not read."
        )

    # Numbers and bytes.

    def take(self, count: int) -> memoryview:
        if count < 0 or count > len(self.data) - self.position:
            self.fail(f"{count} bytes are announced where {len(self.data) - self.position} are left")
        start, self.position = self.position, self.position + count
        return memoryview(self.data)[start : self.position]

    def int32(self) -> int:
        return struct.unpack("<i", self.take(4))[0]

    def longs(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}q", self.take(8 * count))

    def text(self) -> str:
        return bytes(self.take(self.int32())).decode("utf-8", "surrogateescape")

    # Values. Nested ones wait on a list of our own: a graph of modules nests deeper than Python calls may.

    def read(self) -> Any:
        result = self.value()
        while self.opened:
            top = self.opened[-1]
            while top.left and self.opened[-1] is top:
                top.left -= 1
                if isinstance(top.value, TorchObject):
                    top.value.fields = self.fields(top.value.class_name)
                elif top.left % 2:
                    top.key = self.key()
                else:
                    top.value[top.key] = self.value()
            if self.opened[-1] is top:
                self.opened.pop()
        return result

    def key(self) -> Any:
        key = self.value()
        if key is None or isinstance(key, np.ndarray) or key != key:
            self.fail(f"a table has the key {key!r:.40}")
        return key

    def fields(self, class_name: str) -> LuaTable:
        fields = self.value()
        if not isinstance(fields, LuaTable):
            self.fail(f"the fields of a {class_name:.60} are no table")
        return fields

    def value(self) -> Any:
        """Read one value; of a new table or object, only the head, and put it on the list of those still open."""
        kind = self.int32()
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            number = struct.unpack("<d", self.take(8))[0]
            return int(number) if math.isfinite(number) and number.is_integer() else number
        if kind == _STRING:
            return self.text()
        if kind == _BOOLEAN:
            return self.int32() != 0
        if kind in _FUNCTIONS:
            raise LimnerError(
                f"{self.path} holds a Lua function at byte {self.position - 4}, which is refused; nothing in it "
                "has run. Save the weights alone with Torch7, or a network without functions."
            )
        if kind not in (_TABLE, _TORCH):
            self.fail(f"there is no type {kind}")
        number = self.int32()
        if number in self.known:
            return self.known[number]
        return self.table(number) if kind == _TABLE else self.torch_object(number)

    def open(self, value: LuaTable | TorchObject, left: int) -> Any:
        if len(self.opened) >= MAX_DEPTH:
            self.fail(f"it nests more than {MAX_DEPTH} deep")
        self.opened.append(_Open(value, left))
        return value

    def table(self, number: int) -> dict[Any, Any]:
        size = self.int32()
        if size < 0:
            self.fail(f"a table has the size {size}")
        self.known[number] = LuaTable()
        return self.open(self.known[number], 2 * size)

    def torch_object(self, number: int) -> Any:
        name = self.text()
        if name.startswith("V "):
            name = self.text()
        if name in _STORAGES:
            self.known[number] = self.storage(_STORAGES[name])
        elif name in _TENSORS:
            self.known[number] = self.tensor(_TENSORS[name])
        elif name.startswith("tds.") or not name.isprintable() or not name:
            self.fail(f"the class {name!r:.60} is not known")
        else:
            self.known[number] = TorchObject(name)
            return self.open(self.known[number], 1)
        return self.known[number]

    # Arrays.

    def storage(self, code: str) -> np.ndarray:
        dtype = np.dtype(code)
        (size,) = self.longs(1)
        return np.frombuffer(self.take(size * dtype.itemsize), dtype)

    def tensor(self, code: str) -> np.ndarray:
        dimensions = self.int32()
        if not 0 <= dimensions <= 32:
            self.fail(f"a tensor has {dimensions} dimensions")
        sizes, strides = self.longs(dimensions), self.longs(dimensions)
        (offset,) = self.longs(1)
        storage = self.storage_of_tensor(np.dtype(code))
        if dimensions == 0 or 0 in sizes:
            return np.empty(sizes or (0,), code)
        if min(sizes) < 0 or min(strides) < 0 or offset < 1:
            self.fail(f"a tensor has the sizes {sizes}, strides {strides} and offset {offset}")
        last = offset - 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if last >= storage.size or math.prod(sizes) > storage.size + _MAX_EXPANSION:
            self.fail(f"a tensor of sizes {sizes} lies outside its storage of {storage.size} numbers")
        steps = [stride * storage.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage[offset - 1 :], sizes, steps, writeable=False)

    def storage_of_tensor(self, dtype: np.dtype) -> np.ndarray:
        """The storage, which follows its tensor at once, so that tensors need no place on the list."""
        kind = self.int32()
        if kind == _NIL:
            return np.empty(0, dtype)
        number = self.int32() if kind == _TORCH else None
        if number is None:
            self.fail("a tensor is not followed by its storage")
        if number not in self.known:
            name = self.text()
            name = self.text() if name.startswith("V ") else name
            if name not in _STORAGES:
                self.fail(f"a tensor is followed by a {name!r:.60} and not by its storage")
            self.known[number] = self.storage(_STORAGES[name])
        storage = self.known[number]
        if not isinstance(storage, np.ndarray) or storage.ndim != 1 or storage.dtype != dtype:
            self.fail("a tensor is followed by something other than its storage")
        return storage
