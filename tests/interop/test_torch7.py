import contextlib
import math
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interop.torch7_writer import Function, Object, Tensor, torch7_bytes

from limner.errors import LimnerError
from limner.interop.torch7 import LuaTable, TorchObject, read_torch7

quick = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def read(tmp_path):
    def read_bytes(data, **limits):
        path = tmp_path / "some.t7"
        path.write_bytes(data)
        return read_torch7(path, **limits)

    return read_bytes


@pytest.fixture
def back(read):
    return lambda value, **options: read(torch7_bytes(value, **options))


def test_plain_values(back):
    assert back(None) is None
    assert back(True) is True
    assert back("W\u00f6rter") == "W\u00f6rter"
    whole, broken = back(3), back(2.5)
    assert (whole, type(whole), broken) == (3, int, 2.5)
    assert math.isnan(back(math.nan))
    assert back(math.inf) == math.inf


def test_text_that_is_not_utf8_keeps_its_bytes(read):
    text = read(struct.pack("<ii", 2, 2) + b"\xe9\xff")
    assert text.encode("utf-8", "surrogateescape") == b"\xe9\xff"


def test_tables(back):
    table = back({"img": "001.Albatross/a.jpg", 1: [4, 5, 6], "deep": {"a": {"b": [False]}}})
    assert isinstance(table, dict)
    assert table["img"] == "001.Albatross/a.jpg"
    assert table[1].items_in_order() == [4, 5, 6]
    assert table["deep"]["a"]["b"][1] is False


def test_shared_cyclic_and_table_keyed_tables(back):
    shared = ["x"]
    loop: dict = {"shared": [shared, shared]}
    loop["self"] = loop
    table = back(loop)
    assert table["self"] is table
    assert table["shared"][1] is table["shared"][2]


def test_a_table_can_be_a_key(read):
    inner = torch7_bytes({"n": 7})  # its number in the file is 1; the outer table gets 2
    table = read(struct.pack("<iii", 3, 2, 1) + inner + torch7_bytes("value"))
    ((key, value),) = table.items()
    assert isinstance(key, LuaTable)
    assert key["n"] == 7
    assert value == "value"


@pytest.mark.parametrize("code", ["u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("versioned", [True, False])
def test_tensors_of_every_type(back, code, versioned):
    values = np.arange(24).reshape(2, 3, 4).astype(code)
    read = back(values, versioned=versioned)
    assert read.dtype == values.dtype
    assert np.array_equal(read, values)


def test_layouts_of_tensors(back):
    storage = np.arange(20, dtype="f4")
    transposed = Tensor(storage, (3, 2), (1, 3), 5)
    expanded = Tensor(storage, (2, 5, 3), (1, 0, 0), 2, cuda=True)
    ours = back([transposed, expanded, Tensor(storage[:0], (), ()), Tensor(storage, (3, 0), (1, 1))])
    assert np.array_equal(ours[1], storage[4:10].reshape(2, 3).T)
    assert ours[2].shape == (2, 5, 3)
    assert (ours[2][1] == 2).all()
    assert ours[3].shape == (0,)
    assert ours[4].shape == (3, 0)
    assert not ours[1].flags.writeable


def test_tensors_share_their_storage(back):
    storage = np.arange(6, dtype="f8")
    first, second = back([Tensor(storage, (3,), (1,)), Tensor(storage, (3,), (1,), 4)]).items_in_order()
    assert second.tolist() == [3, 4, 5]
    assert first.base is not None


def test_objects_of_torch_classes(back):
    layer = Object("nn.Linear", weight=np.ones((2, 3), "f4"), train=True)
    network = back(Object("nn.Sequential", modules=[layer, layer, Object("nn.ReLU")]))
    assert isinstance(network, TorchObject)
    assert network.class_name == "nn.Sequential"
    first, second, last = network.fields["modules"].items_in_order()
    assert first is second
    assert first.fields["weight"].shape == (2, 3)
    assert last.fields == last.fields
    assert "weight" not in repr(first)


def test_deep_graphs_do_not_exhaust_the_stack(back):
    value: list = []
    for _ in range(450):
        value = [value]
    depth, table = 0, back(value)
    while table:
        table, depth = table[1], depth + 1
    assert depth == 450


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_functions_are_refused(back, kind):
    with pytest.raises(LimnerError, match="a Lua function at byte 21, which is refused"):
        back({"f": Function(kind)})


def ints(*values):
    return struct.pack(f"<{len(values)}i", *values)


def longs(*values):
    return struct.pack(f"<{len(values)}q", *values)


def string(text):
    return ints(len(text)) + text


TENSOR = ints(4, 1) + string(b"V 1") + string(b"torch.FloatTensor")
STORAGE = ints(4, 2) + string(b"V 1") + string(b"torch.FloatStorage")
FOUR = STORAGE + longs(4) + b"\0" * 16
BROKEN = {
    "unknown type": (ints(9), "no type 9"),
    "negative type": (ints(-1), "no type -1"),
    "text longer than the file": (ints(2, 1 << 30), "are announced where"),
    "text of negative length": (ints(2, -5), "are announced where"),
    "table of negative size": (ints(3, 1, -1), "the size -1"),
    "table longer than the file": (ints(3, 1, 1 << 30), "are announced where"),
    "nil as key": (ints(3, 1, 1, 0, 0), "the key None"),
    "nan as key": (ints(3, 1, 1, 1) + struct.pack("<d", math.nan), "the key nan"),
    "tensor as key": (ints(3, 9, 1) + TENSOR + ints(1) + longs(4, 1, 1) + FOUR, "the key array"),
    "class with a format of its own": (ints(4, 1) + string(b"V 1") + string(b"tds.Hash"), "class 'tds.Hash'"),
    "class without a name": (ints(4, 1) + string(b"V 1") + string(b""), "class ''"),
    "object without fields": (ints(4, 1) + string(b"V 1") + string(b"nn.ReLU") + ints(0), "are no table"),
    "object with itself as fields": (ints(4, 1) + string(b"V 1") + string(b"nn.ReLU") + ints(4, 1), "are no table"),
    "storage longer than the file": (STORAGE + longs(1 << 40), "are announced where"),
    "storage of negative size": (STORAGE + longs(-4), "are announced where"),
    "many dimensions": (TENSOR + ints(1 << 30), "dimensions"),
    "no dimensions": (TENSOR + ints(-1), "dimensions"),
    "tensor outside its storage": (TENSOR + ints(1) + longs(5, 1, 1) + FOUR, "lies outside"),
    "tensor that starts outside": (TENSOR + ints(1) + longs(1, 1, 5) + FOUR, "lies outside"),
    "tensor that starts before": (TENSOR + ints(1) + longs(1, 1, 0) + FOUR, "offset 0"),
    "tensor that runs backwards": (TENSOR + ints(1) + longs(2, -1, 2) + FOUR, "strides"),
    "tensor of negative size": (TENSOR + ints(2) + longs(-2, 2, 1, 1, 1) + FOUR, "sizes"),
    "enormous expanded tensor": (TENSOR + ints(2) + longs(1 << 20, 1 << 20, 0, 0, 1) + FOUR, "lies outside"),
    "tensor without storage": (TENSOR + ints(1) + longs(1, 1, 1) + ints(2), "not followed by its storage"),
    "tensor as its own storage": (
        TENSOR + ints(1) + longs(1, 1, 1) + ints(4, 1) + string(b"nn.X"),
        "followed by a 'nn.X'",
    ),
    "storage of another type": (
        TENSOR
        + ints(1)
        + longs(1, 1, 1)
        + STORAGE.replace(b"\x12\0\0\0torch.Float", b"\x13\0\0\0torch.Double")
        + longs(0),
        "other than its storage",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_explained(read, case):
    data, reason = BROKEN[case]
    with pytest.raises(LimnerError, match=reason):
        read(data)


def test_nesting_has_a_limit(read):
    data = b"".join(ints(3, n, 1, 2, 0) for n in range(20_000))
    with pytest.raises(LimnerError, match="nests more than"):
        read(data)


EXAMPLE = torch7_bytes(
    Object("nn.Sequential", modules=[Object("nn.Linear", weight=np.ones((2, 2), "f4")), {"a": [True, 2.5, None]}], n=3)
)


def test_every_cut_is_noticed(read):
    for length in range(1, len(EXAMPLE)):
        with pytest.raises(LimnerError):
            read(EXAMPLE[:length])


def test_empty_missing_large_and_ascii_files(read, tmp_path):
    with pytest.raises(LimnerError, match="is empty"):
        read(b"")
    with pytest.raises(LimnerError, match="there is no file"):
        read_torch7(tmp_path / "missing.t7")
    with pytest.raises(LimnerError, match="more than the limit"):
        read(EXAMPLE, max_bytes=10)
    with pytest.raises(LimnerError, match="ASCII format"):
        read(b"4\n1\n3\nV 1\n13\nnn.Sequential\n")


@quick
@given(st.binary(max_size=300))
def test_random_bytes_end_in_data_or_in_our_error(read, data):
    with contextlib.suppress(LimnerError):
        read(data)


@quick
@given(
    st.lists(st.one_of(st.integers(0, 8).map(ints), st.binary(max_size=8), st.just(TENSOR), st.just(FOUR)), max_size=20)
)
def test_random_pieces_end_in_data_or_in_our_error(read, pieces):
    with contextlib.suppress(LimnerError):
        read(b"".join(pieces))


@quick
@given(st.data())
def test_damaged_files_end_in_data_or_in_our_error(read, data):
    damaged = bytearray(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LimnerError):
        read(bytes(damaged))
