from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.errors import LimnerError
from limner.painting.png import read_story, write_png

_STORY = {"format": 1, "limner": "0.1.0", "caption": "a ring", "seed": 7, "index": 0, "inputs": {}, "model": {},
          "settings": {}, "size": [8, 8], "warnings": [], "pixels": ""}
_IMAGE = Image.new("RGB", (8, 8), (200, 30, 30))
_FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _png(text: str, *, key: str = "limner", compressed: bool = False, international: bool = False) -> bytes:
    info = PngInfo()
    if international:
        info.add_itxt(key, text, zip=compressed)
    else:
        info.add_text(key, text, zip=compressed)
    content = io.BytesIO()
    _IMAGE.save(content, "PNG", pnginfo=info)
    return content.getvalue()


def _read(tmp_path: Path, content: bytes) -> dict:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    return read_story(path)


def test_a_story_comes_back(tmp_path: Path) -> None:
    story = {**_STORY, "caption": "caf\u00e9 \U0001f600 \u2603"}
    write_png(tmp_path / "a.png", _IMAGE, story, "caf\u00e9 \U0001f600\nSteps: 1")
    assert read_story(tmp_path / "a.png") == story
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["parameters"] == "caf\u00e9 \U0001f600\nSteps: 1"
        assert image.convert("RGB").tobytes() == _IMAGE.tobytes()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("international", [False, True])
def test_every_kind_of_text_chunk_is_read(tmp_path: Path, compressed: bool, international: bool) -> None:
    content = _png(json.dumps(_STORY), compressed=compressed, international=international)
    assert _read(tmp_path, content) == _STORY


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    for content, words in (
        (b"", "not a PNG"), (b"\xff\xd8\xff\xe0 jpeg", "not a PNG"), (_png("x", key="parameters"), "no story"),
        (_png("{"), "damaged"), (_png("[" * 100_000), "damaged"), (_png("[]"), "damaged"),
        (_png('{"format": 2}'), "format 2"), (_png('{"format": 1}'), "'caption'"),
        (_png(json.dumps({**_STORY, "seed": "7"})), "'seed'"), (_png(json.dumps({**_STORY, "seed": True})), "'seed'"),
        (_png(json.dumps({**_STORY, "paintings": []})), "grid"),
        (_png(json.dumps({"format": 1, "paintings": [_STORY], "grid": {"columns": 10**9}})), "grid"),
        (_png(json.dumps({"format": 1, "paintings": [5], "grid": {"columns": 1}})), "'caption'"),
    ):
        with pytest.raises(LimnerError, match=words):
            _read(tmp_path, content)
    with pytest.raises(LimnerError, match="cannot read"):
        read_story(tmp_path / "nothing.png")
    with pytest.raises(LimnerError, match="cannot read"):
        read_story(tmp_path)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + b"\0\0\0\0"


def test_a_text_chunk_that_blows_up_is_cut_off(tmp_path: Path) -> None:
    bomb = zlib.compress(b" " * (40 << 20), 1)
    with pytest.raises(LimnerError, match="damaged"):
        _read(tmp_path, _png("")[:8] + _chunk(b"zTXt", b"limner\0\0" + bomb))
    huge = struct.pack(">I4s", 0xFFFFFFFF, b"tEXt")
    with pytest.raises(LimnerError, match="no story"):
        _read(tmp_path, _png("")[:8] + huge + b"limner\0{}")


@_FUZZ
@given(data=st.data())
def test_any_bytes_end_in_a_story_or_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    good = bytearray(_png(json.dumps(_STORY), compressed=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(good) - 1))
        good[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    try:
        story = _read(tmp_path, bytes(good))
    except LimnerError:
        return
    assert isinstance(story["caption"], str)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                     lambda kind: st.lists(kind, max_size=3) | st.dictionaries(st.text(max_size=8), kind, max_size=3),
                     max_leaves=8)


@_FUZZ
@given(changes=st.dictionaries(st.sampled_from([*_STORY, "paintings", "grid"]), _JSON, max_size=4))
def test_any_story_is_whole_or_refused(tmp_path: Path, changes: dict) -> None:
    try:
        story = _read(tmp_path, _png(json.dumps({**_STORY, **changes})))
    except LimnerError:
        return
    for painting in story.get("paintings", [story]):
        assert isinstance(painting["caption"], str)
        assert isinstance(painting["seed"], int)
        assert isinstance(painting["inputs"], dict)
