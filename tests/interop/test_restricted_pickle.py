import contextlib
import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limner.errors import LimnerError
from limner.interop.restricted_pickle import read_pickle

quick = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def read(tmp_path):
    def read_bytes(data, **limits):
        path = tmp_path / "some.pickle"
        path.write_bytes(data)
        return read_pickle(path, **limits)

    return read_bytes


def same(ours, original):
    if isinstance(original, np.ndarray):
        return isinstance(ours, np.ndarray) and ours.dtype == original.dtype and np.array_equal(ours, original)
    if isinstance(original, list | tuple):
        pairs = zip(ours, original, strict=True)
        return type(ours) is type(original) and all(same(a, b) for a, b in pairs)
    if isinstance(original, dict):
        return list(ours) == list(original) and all(same(ours[key], original[key]) for key in original)
    return type(ours) is type(original) and ours == original


SHARED = np.arange(6.0).reshape(2, 3)
DATA = {
    "words": ["a", "red", "Vogel mit \u00fcber"],
    "numbers": (1, -3, 2**70, 1.5, True, None, 70000, 300),
    "bytes": [b"", b"\x00\xff", bytearray(b"abc")],
    "arrays": [SHARED, SHARED.T, SHARED.astype("f4"), np.arange(5, dtype="i2"), np.array([True, False]), SHARED],
    "odd": [np.zeros((0, 4), "f4"), np.array(2.5), np.array(["ab", "c"]), np.array([b"ab", b"c"]), np.ones(2, "f2")],
    "big_endian": np.arange(4, dtype=">i4").astype("=i4"),
    "scalars": [np.float32(1.5), np.int64(-4), np.bool_(True)],
    "table": {1: "x", "k": {"deep": [[[]]]}, (1, "a"): 2.0},
    "none": [],
}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol(read, protocol):
    data = dict(DATA)
    if protocol < 5:
        data["bytes"] = data["bytes"][:2]  # older protocols have no instruction for a bytearray
    assert same(read(pickle.dumps(data, protocol)), data)
    ordered = OrderedDict(b=1, a=[2])
    assert read(pickle.dumps(ordered, protocol)) == {"b": 1, "a": [2]}


def test_foreign_byte_order_is_turned(read):
    ours = read(pickle.dumps(np.arange(4, dtype=">i4"), 2))
    assert ours.dtype == np.int32
    assert ours.tolist() == [0, 1, 2, 3]


def python2(values):
    """What Python 2 with an old NumPy writes for a list of float32 arrays: protocol 2, arrays as byte strings."""
    out = io.BytesIO()
    out.write(b"\x80\x02]q\x00(")
    for value in values:
        raw = value.tobytes()
        out.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R")
        shape = b"".join(b"K" + bytes([n]) for n in value.shape)
        out.write(
            b"(K\x01("
            + shape
            + b"tcnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        )
        out.write(b"K\x00tb\x89T" + struct.pack("<i", len(raw)) + raw + b"tb")
    out.write(b"e.")
    return out.getvalue()


def test_embeddings_as_python_2_wrote_them(read):
    values = [np.random.default_rng(n).standard_normal((10, 4)).astype("f4") for n in range(3)]
    assert same(pickle.loads(python2(values), encoding="latin1"), values)  # the bytes are what we claim
    assert same(read(python2(values)), values)
    assert read(b"(lp0\nS'002.Laysan_Albatross/Laysan_Albatross_0002_1027'\np1\naI7\na.") == [
        "002.Laysan_Albatross/Laysan_Albatross_0002_1027",
        7,
    ]


class Runs:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def stacked(module, name, rest):
    """STACK_GLOBAL with both names taken from the memo."""
    names = [b"\x8c" + bytes([len(s)]) + s.encode() + b"\x94" for s in (module, name)]
    return b"\x80\x04" + names[0] + b"0" + names[1] + b"0h\x00h\x01\x93" + rest + b"."


TOUCH = "touch {}"
MALICIOUS = {
    "os.system": lambda mark: pickle.dumps(Runs(os.system, TOUCH.format(mark))),
    "os.system, protocol 0": lambda mark: pickle.dumps(Runs(os.system, TOUCH.format(mark)), 0),
    "eval": lambda mark: pickle.dumps(Runs(eval, f"open({str(mark)!r}, 'w')")),
    "nested getattr": lambda mark: b"cbuiltins\ngetattr\n(cbuiltins\ngetattr\n(cos\npath\nS'os'\ntRS'system'\ntR.",
    "dotted name": lambda mark: stacked("numpy", "dtype.__class__.__base__", b""),
    "dotted module trick": lambda mark: stacked("numpy.core.multiarray", "_reconstruct.__globals__", b""),
    "names from the memo": lambda mark: stacked("os", "system", b"\x8c\x01x\x85R"),
    "instance": lambda mark: f"(S'{TOUCH.format(mark)}'\nios\nsystem\n.".encode(),
    "object": lambda mark: b"(cos\nsystem\nS'true'\no.",
    "new object": lambda mark: b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "extension": lambda mark: b"\x80\x02\x82\x01.",
    "persistent id": lambda mark: b"Pos.system\n.",
    "state of a list": lambda mark: b"]}b.",
    "state of a dictionary": lambda mark: b"}}(S'__class__'\nNub.",
    "class as data": lambda mark: b"]cnumpy\nndarray\na.",
    "dtype as data": lambda mark: b"]cnumpy\ndtype\n(S'f4'\nI0\nI1\ntRa.",
    "array of another class": lambda mark: b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
    "array of objects": lambda mark: pickle.dumps(np.array([Runs(os.system, TOUCH.format(mark))], dtype=object)),
    "structured dtype": lambda mark: pickle.dumps(np.zeros(2, [("a", "f4"), ("b", "O")])),
    "subclass of dict": lambda mark: b"ccollections\ndefaultdict\n(cbuiltins\nlist\ntR.",
    "codecs": lambda mark: b"c_codecs\nencode\n(S'x'\nS'os_system'\ntR.",
    "call of a string": lambda mark: b"S'reconstruct'\n(tR.",
    "unfinished array": lambda mark: b"]cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntRa.",
    "mark as data": lambda mark: b"(.",
    "list in itself": lambda mark: b"]q\x00h\x00a.",
    "list as key": lambda mark: b"}]Ns.",
    "deep key": lambda mark: b"}" + b")" + b"\x85" * 200_000 + b"Ns.",
    "huge integer": lambda mark: b"\x8b" + struct.pack("<i", 1 << 20) + b"\x01" * (1 << 20) + b".",
}


@pytest.mark.parametrize("case", MALICIOUS)
def test_malicious_pickles_are_refused_and_nothing_runs(read, tmp_path, case):
    mark = tmp_path / "executed"
    with pytest.raises(LimnerError, match="is refused"):
        read(MALICIOUS[case](mark))
    assert not mark.exists()


def test_the_refused_name_is_told(read):
    with pytest.raises(LimnerError, match=r"the global '(posix|nt)\.system'.*Nothing in it has run"):
        read(pickle.dumps(Runs(os.system, "true")))
    with pytest.raises(LimnerError, match=r"builtins\.eval"):
        read(pickle.dumps(Runs(eval, "1")))


def laughs(levels):
    """Lists of ten references to the list before: tiny file, 10 ** levels elements for who walks through it."""
    data = b"]q\x00"
    for level in range(levels):
        data += b"](" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1])
    return data + b"."


BOMBS = {
    "reference bomb": (laughs(12), {}),
    "deep nesting": (b"(l" * 5000 + b"a" * 4999 + b".", {}),
    "deep nesting through the memo": (b"]q\x00" + b"](h\x00eq\x00" * 5000 + b".", {}),
    "too many items": (b"](" + b"N" * 10_000 + b"e.", {"max_items": 9_000}),
    "too large a file": (pickle.dumps("a" * 10_000), {"max_bytes": 1_000}),
    "string longer than the file": (b"\x8e" + struct.pack("<Q", 1 << 40) + b"abc.", {}),
    "string of impossible length": (b"\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"abc.", {}),
    "memo at a huge index, then missing": (b"Nr\xff\xff\xff\x7fj\xfe\xff\xff\x7f.", {}),
    "array larger than its bytes": (
        pickle.dumps(np.zeros((3, 5), "f4"), 2).replace(b"K\x03K\x05\x86", b"K\xffK\xff\x86"),
        {},
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_bombs_are_defused(read, case):
    data, limits = BOMBS[case]
    with pytest.raises(LimnerError):
        read(data, **limits)


def test_a_huge_memo_index_alone_costs_nothing(read):
    assert read(b"Nr\xff\xff\xff\x7f.") is None


def test_cut_empty_missing_and_foreign_files(read, tmp_path):
    whole = pickle.dumps(DATA, 4)
    for length in range(1, len(whole) - 1, 7):
        with pytest.raises(LimnerError):
            read(whole[:length])
    with pytest.raises(LimnerError, match="is empty"):
        read(b"")
    with pytest.raises(LimnerError, match="is not a whole pickle"):
        read(b"just some text")
    with pytest.raises(LimnerError, match="there is no file"):
        read_pickle(tmp_path / "missing.pickle")


@quick
@given(st.binary(max_size=200))
def test_random_bytes_end_in_data_or_in_our_error(read, data):
    with contextlib.suppress(LimnerError):
        read(data)


@quick
@given(
    st.lists(st.sampled_from([op.code.encode("latin-1") for op in pickletools.opcodes]), max_size=30),
    st.binary(max_size=40),
)
def test_random_programs_end_in_data_or_in_our_error(read, codes, filler):
    pieces = [code + filler[i : i + 2] for i, code in enumerate(codes)]
    with contextlib.suppress(LimnerError):
        read(b"".join(pieces) + b".")


@quick
@given(st.data())
def test_damaged_pickles_end_in_data_or_in_our_error(read, data):
    whole = bytearray(pickle.dumps(DATA["arrays"] + [DATA["table"]], data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LimnerError):
        read(bytes(whole))
