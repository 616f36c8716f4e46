"""Configurations of text encoders: refused before any work, JSON there and back, no torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from limner.config import from_json, to_json
from limner.errors import LimnerError
from limner.text.config import PUBLISHED, TextEncoderConfig

GOOD: dict[str, Any] = {"architecture": "char-cnn-rnn", "widths": (8, 8, 8), "length": 201}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "char-rnn"}, "there are char-cnn-rnn"),
        ({"widths": (8, 8)}, r"needs 3 widths .*third convolution"),
        ({"widths": (8, 0, 8)}, "at least 1"),
        ({"widths": ()}, "needs 3 widths"),
        ({"embedding": 0}, "embedding must be at least 1"),
        ({"average": False}, "known to char-cnn-gru only"),
        ({"length": 20}, "20 tokens are too few"),
        ({"length": 0}, "0 tokens are too few"),
        ({"architecture": "word-gru", "widths": (8, 7), "length": 9}, "7 is odd"),
        ({"architecture": "word-gru", "widths": (8, 8), "length": 0}, "0 tokens are too few"),
    ],
)
def test_bad_values_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LimnerError, match=message):
        TextEncoderConfig(**{**GOOD, **change})


def test_shortest_length_of_each_trunk() -> None:
    # Backwards: one pooled step needs 3, so 6 before the convolution; 18 before the pooling, 21; 63, 66.
    assert TextEncoderConfig(**{**GOOD, "length": 66}).steps == 1
    with pytest.raises(LimnerError, match="too few"):
        TextEncoderConfig(**{**GOOD, "length": 65})


@pytest.mark.parametrize("name", PUBLISHED)
def test_json_round_trip(name: str) -> None:
    assert from_json(TextEncoderConfig, to_json(PUBLISHED[name])) == PUBLISHED[name]


def test_describing_and_tokenising_need_no_torch() -> None:
    code = "import sys, limner.text.config, limner.text.tokenisers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
