"""Reading the authors' pickles without running anything that they hold.

A pickle is a program. :func:`read_pickle` runs the part of that language that builds plain data, in an interpreter of
our own that never imports or calls a name from the file; every other instruction or name is refused.
"""

import math
import pickletools
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from limner.errors import LimnerError

MAX_BYTES = 8 << 30
MAX_ITEMS = 20_000_000
MAX_DEPTH = 100
_MAX_INTEGER_BITS = 1024


def read_pickle(
    path: Path, *, max_bytes: int = MAX_BYTES, max_items: int = MAX_ITEMS, max_depth: int = MAX_DEPTH
) -> Any:
    """Read a pickle that holds only arrays, numbers, strings, bytes, lists, tuples and dictionaries.

    Reads protocols 0 to 5, written by Python 2 or 3 and any NumPy. Strings of Python 2 are read as Latin-1, ordered
    dictionaries become dictionaries, and arrays get the byte order of this machine; they may be read-only.

    Args:
        path: the file.
        max_bytes: largest file that is opened.
        max_items: most instructions, and most elements that a walk through the result may meet.
        max_depth: deepest nesting of lists, tuples and dictionaries.

    Raises:
        LimnerError: no such file, not a pickle, cut short, beyond a limit, or holding anything else. The message names
            what was refused; nothing of it has run.
    """
    check_size(path, max_bytes)
    data = path.read_bytes()
    machine = _Machine(path, max_items)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if machine.step(opcode.name, argument):
                break
    except LimnerError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise LimnerError(
            f"{path} is not a whole pickle ({error or type(error).__name__}); fetch or copy it again."
        ) from None
    _check_extent(machine.result, path, max_items, max_depth)
    return machine.result


def check_size(path: Path, max_bytes: int) -> None:
    """Raise LimnerError if the file is missing, empty or larger than the limit."""
    if not path.is_file():
        raise LimnerError(f"there is no file {path}.")
    size = path.stat().st_size
    if size == 0:
        raise LimnerError(f"{path} is empty; fetch or copy it again.")
    if size > max_bytes:
        raise LimnerError(f"{path} has {size} bytes, more than the limit of {max_bytes}; raise max_bytes to open it.")


class _Pending:
    """A dtype or an array between the call that makes it and the state that completes it."""

    def __init__(self, kind: str, code: str, value: Any) -> None:
        self.kind = kind
        self.code = code
        self.value = value  # None while unfinished


class _Name(str):
    """What a known global of the file stands for; never the thing itself."""

    __slots__ = ()


_NAMES = {
    "numpy.dtype": _Name("dtype"),
    "numpy.ndarray": _Name("ndarray"),
    "collections.OrderedDict": _Name("ordered"),
    "_codecs.encode": _Name("encode"),
    "__builtin__.bytes": _Name("bytes"),
    "builtins.bytes": _Name("bytes"),
}
for _root in ("numpy.core", "numpy._core"):
    _NAMES[f"{_root}.multiarray._reconstruct"] = _Name("reconstruct")
    _NAMES[f"{_root}.multiarray.scalar"] = _Name("scalar")
    _NAMES[f"{_root}.numeric._frombuffer"] = _Name("frombuffer")

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9][0-9]{0,5}")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
_INTEGERS = {"INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2"}
_VALUES = {
    "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_MARK = object()
_PLAIN = (str, int, float, bytes, bytearray, type(None), np.generic)


class _Machine:
    """Interpreter of the data-building part of the pickle language.

    Tuples may hold names and dtypes while they are the arguments of a call; :func:`_check_extent` refuses them in the
    result.
    """

    def __init__(self, path: Path, max_items: int) -> None:
        self.path = path
        self.left = max_items
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> bool:
        """Run one instruction; True at the end of the program."""
        self.left -= 1
        if self.left < 0:
            raise LimnerError(f"{self.path} builds more items than the limit allows; raise max_items to read it.")
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _INTEGERS:
            if int(argument).bit_length() > _MAX_INTEGER_BITS:
                _refuse(self.path, f"an integer of {int(argument).bit_length()} bits")
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name == "STOP":
            self.result = self.pop()
            return True
        else:
            method = getattr(self, f"do_{name.lower()}", None)
            if method is None:
                _refuse(self.path, f"the instruction {name}")
            method(argument)
        return False

    # The stack and the memo.

    def settled(self, value: Any) -> Any:
        if isinstance(value, _Pending):
            if value.value is None:
                _refuse(self.path, f"an unfinished {value.kind}")
            return value.value
        return value

    def pop(self) -> Any:
        return self.settled(self.stack.pop())

    def since_mark(self) -> list[Any]:
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("a mark is missing")
        values = [self.settled(value) for value in self.stack[start + 1 :]]
        del self.stack[start:]
        return values

    def do_mark(self, _: None) -> None:
        self.stack.append(_MARK)

    def do_pop(self, _: None) -> None:
        self.stack.pop()

    def do_pop_mark(self, _: None) -> None:
        self.since_mark()

    def do_dup(self, _: None) -> None:
        self.stack.append(self.stack[-1])

    def do_proto(self, _: int) -> None:
        """The version of the language; all are read alike."""

    def do_frame(self, _: int) -> None:
        """A hint for buffering."""

    def do_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def do_put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def do_get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    do_binput = do_long_binput = do_put
    do_binget = do_long_binget = do_get

    # Containers.

    def do_tuple(self, _: None) -> None:
        self.stack.append(tuple(self.since_mark()))

    def last(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("a value is missing")
        values = tuple(self.settled(value) for value in self.stack[-count:])
        self.stack[-count:] = [values]

    def do_tuple1(self, _: None) -> None:
        self.last(1)

    def do_tuple2(self, _: None) -> None:
        self.last(2)

    def do_tuple3(self, _: None) -> None:
        self.last(3)

    def do_list(self, _: None) -> None:
        self.stack.append(self.since_mark())

    def do_append(self, _: None) -> None:
        value = self.pop()
        self.target(list).append(value)

    def do_appends(self, _: None) -> None:
        values = self.since_mark()
        self.target(list).extend(values)

    def do_dict(self, _: None) -> None:
        values = self.since_mark()
        self.stack.append({})
        self.fill(values)

    def do_setitem(self, _: None) -> None:
        value = self.pop()
        self.fill([self.pop(), value])

    def do_setitems(self, _: None) -> None:
        self.fill(self.since_mark())

    def target(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            _refuse(self.path, f"items for something that is no {kind.__name__}")
        return self.stack[-1]

    def fill(self, values: list[Any]) -> None:
        target = self.target(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            parts = key if type(key) is tuple else (key,)  # flat: hashing a deep tuple would overrun the C stack
            if not all(isinstance(part, _PLAIN) and not isinstance(part, bytearray) for part in parts):
                _refuse(self.path, f"a dictionary key of type {type(key).__name__}")
            target[key] = value

    # Names and calls.

    def do_global(self, name: str) -> None:
        name = name.replace(" ", ".")
        if name not in _NAMES:
            _refuse(self.path, f"the global {name!r}")
        self.stack.append(_NAMES[name])

    do_inst = do_global

    def do_stack_global(self, _: None) -> None:
        name, module = self.pop(), self.pop()
        self.do_global(f"{module}.{name}")

    def do_reduce(self, _: None) -> None:
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, _Name) or type(arguments) is not tuple:
            _refuse(self.path, "a call of something that is no function")
        self.stack.append(self.call(name, arguments))

    def call(self, name: _Name, arguments: tuple[Any, ...]) -> Any:  # noqa: RET503 (the refusal never returns)
        match name, arguments:
            case "dtype", (str() | bytes() as code, *_):
                code = _text(code)
                if not _DTYPE.fullmatch(code):
                    _refuse(self.path, f"an array of the type {code!r}")
                return _Pending("dtype", code, np.dtype(code))
            case "reconstruct", (_Name() as kind, *_) if kind == "ndarray":
                return _Pending("array", "", None)
            case "scalar", (np.dtype() as dtype, str() | bytes() as raw):
                return _array(raw, dtype, (), fortran=False)[()]
            case "frombuffer", (
                bytes() | bytearray() as raw,
                np.dtype() as dtype,
                tuple() as shape,
                "C" | "F" as order,
            ):
                return _array(bytes(raw), dtype, shape, fortran=order == "F")
            case "encode", (str() as text, "latin1" | "latin-1"):
                return text.encode("latin-1")
            case "bytes", ():
                return b""
            case "ordered", ():
                return {}
            case "ordered", (list() as pairs,) if all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
                self.stack.append({})
                self.fill([part for pair in pairs for part in pair])
                return self.stack.pop()
        _refuse(self.path, f"an unknown call of {str(name)!r}")

    def do_build(self, _: None) -> None:
        state = self.pop()
        target = self.stack[-1]
        match target, state:
            case _Pending(kind="dtype"), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
                target.value = np.dtype(target.code).newbyteorder("=" if order == "|" else order)
            case _Pending(kind="array", value=None), (
                int(), tuple() as shape, np.dtype() as dtype, int() as fortran, str() | bytes() as raw,
            ):  # fmt: skip
                target.value = _array(raw, dtype, shape, fortran=bool(fortran))
            case _:
                _refuse(self.path, "an object with a state of its own")


def _refuse(path: Path, what: str) -> NoReturn:
    raise LimnerError(
        f"{path} holds {what}, which is refused: only arrays, numbers, strings, lists, tuples and dictionaries are "
        "read from a pickle. Nothing in it has run. If you trust the file, convert it with the tool that wrote it."
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _array(raw: str | bytes, dtype: np.dtype, shape: tuple[Any, ...], *, fortran: bool) -> np.ndarray:
    """The array of the given bytes, or a ValueError if they do not fit."""
    raw = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array has the shape {shape}")
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} and type {dtype} comes with {len(raw)} bytes")
    array = np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)
    if dtype.kind == "U" and array.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder)).max(initial=0) > 0x10FFFF:
        raise ValueError("an array of text holds no text")
    if dtype.kind == "b":
        array = array.view(np.uint8) != 0
    return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F" if fortran else "C")


def _check_extent(root: Any, path: Path, max_items: int, max_depth: int) -> None:
    """Refuse cycles, deep nesting, references that multiply, and whatever is no data; without recursion."""
    extent: dict[int, tuple[int, int]] = {}  # container -> depth and number of elements, when all below it is known
    entered: set[int] = set()
    todo: list[tuple[Any, bool]] = [(root, False)]
    while todo:
        value, below_known = todo.pop()
        if isinstance(value, dict):
            parts = [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            parts = value
        elif (isinstance(value, _PLAIN) and not isinstance(value, _Name)) or type(value) is np.ndarray:
            continue
        else:
            _refuse(path, f"a {type(value).__name__} in the place of data")
        if below_known:
            entered.discard(id(value))
            below = [extent[id(part)] for part in parts if id(part) in extent]
            depth = 1 + max((d for d, _ in below), default=0)
            items = len(parts) + sum(n for _, n in below)
            if depth > max_depth:
                raise LimnerError(f"{path} nests its lists more than {max_depth} deep; raise max_depth to read it.")
            if items > max_items:
                raise LimnerError(f"{path} unfolds to more than {max_items} items; raise max_items to read it.")
            extent[id(value)] = (depth, items)
        elif id(value) in entered:
            _refuse(path, "a list that contains itself")
        elif id(value) not in extent:
            entered.add(id(value))
            todo.append((value, True))
            todo.extend((part, False) for part in parts)
