"""Captions per second of the text encoders, and their convolutions against the dense one-hot form.

    OMP_NUM_THREADS=1 python benchmarks/text_encoders.py [--batch 64] [--json FILE]

Weights are random; times do not depend on them. Each figure is the best of ten calls.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.text.char_cnn_rnn import THRESHOLD
from limner.text.characters import CharacterTokeniser
from limner.text.config import PUBLISHED, TextEncoderConfig
from limner.text.encoders import TextEncoder, build_text_encoder

CAPTION = "this small bird has a red crown, black wings and a short pointed bill"
WORD_GRU = TextEncoderConfig(architecture="word-gru", widths=(300, 512), length=30)


def best(*calls: Callable[[], object], times: int = 10) -> list[float]:
    """The shortest time of each call in seconds; the calls take turns, so that a busy machine is fair to all."""
    seconds = [float("inf")] * len(calls)
    for turn in range(times + 1):
        for number, call in enumerate(calls):
            start = time.perf_counter()
            call()
            if turn:  # the first turn warms up
                seconds[number] = min(seconds[number], time.perf_counter() - start)
    return seconds


def encoder_rates(encoder: TextEncoder, tokens: Tensor) -> dict[str, float]:
    """Captions per second, rounded: inference and forward with backward, float32 and bfloat16 autocast."""

    def inference() -> None:
        with torch.no_grad():
            encoder(tokens)

    def training() -> None:
        encoder.zero_grad()
        encoder(tokens).float().square().mean().backward()

    rates = {}
    for precision, enabled in (("float32", False), ("bfloat16", True)):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            for name, seconds in zip(("inference", "training"), best(inference, training), strict=True):
                rates[f"{name} {precision}"] = round(len(tokens) / seconds)
    return rates


def trunk_times(tokens: Tensor) -> dict[str, dict[str, float]]:
    """Milliseconds of the whole convolution trunk of ``icml2016-birds``: dense one-hot 1-D operations against ours."""
    trunk = build_text_encoder(PUBLISHED["icml2016-birds"], 70).trunk
    first, second, third = (module for module in trunk if hasattr(module, "weight"))

    def dense(tokens: Tensor) -> Tensor:
        x = F.conv1d(F.one_hot(tokens, 71)[..., 1:].float().transpose(1, 2), first.weight, first.bias)
        x = F.conv1d(F.max_pool1d(F.threshold(x, THRESHOLD, 0), 3), second.weight, second.bias)
        x = F.conv1d(F.max_pool1d(F.threshold(x, THRESHOLD, 0), 3), third.weight, third.bias)
        return F.threshold(x, THRESHOLD, 0)

    def call_of(forward: Callable[[Tensor], Tensor], *, backward: bool) -> Callable[[], None]:
        def call() -> None:
            with torch.set_grad_enabled(backward):
                result = forward(tokens)
            if backward:
                trunk.zero_grad()
                result.square().sum().backward()

        return call

    result = {}
    for name, backward in (("forward", False), ("forward and backward", True)):
        slow, fast = best(call_of(dense, backward=backward), call_of(trunk, backward=backward))
        result[name] = {"dense ms": round(1e3 * slow), "ours ms": round(1e3 * fast), "ratio": round(slow / fast, 2)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    characters = torch.from_numpy(CharacterTokeniser().encode([CAPTION] * arguments.batch))
    words = torch.zeros(arguments.batch, 30, dtype=torch.int64)
    words[:, :14] = torch.randint(1, 5000, (arguments.batch, 14), generator=torch.Generator().manual_seed(0))
    result: dict[str, object] = {"batch": arguments.batch, "threads": torch.get_num_threads()}
    for name in ("cvpr2016-birds", "icml2016-birds", "cvpr2016-char-cnn-large"):
        result[name] = encoder_rates(build_text_encoder(PUBLISHED[name], 70), characters)
    result["word-gru (300, 512), 14 words"] = encoder_rates(build_text_encoder(WORD_GRU, 5000), words)
    result["trunk of icml2016-birds"] = trunk_times(characters)
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
