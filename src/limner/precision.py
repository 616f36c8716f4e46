"""In which precision a device computes fastest. Nothing here loads torch before a GPU is asked about."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Literal

Precision = Literal["32", "bf16", "auto"]
PRECISIONS: tuple[Precision, ...] = ("32", "bf16", "auto")


def resolve_precision(name: str, device: str) -> str:
    """``auto`` as bf16 or 32: bf16 only where it is faster."""
    if name != "auto":
        return name
    if device == "cuda":
        import torch

        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    return "bf16" if device == "cpu" and _processor_is_fast_in_bf16() else "32"


def _processor_is_fast_in_bf16() -> bool:
    information = Path("/proc/cpuinfo")
    return (platform.machine().lower() in ("x86_64", "amd64") and information.is_file()
            and is_fast_in_bf16(information.read_text()))


def is_fast_in_bf16(information: str) -> bool:
    """Whether the first processor of a /proc/cpuinfo has AMX, or AVX512-BF16 and is AMD's.

    With Intel's AVX512-BF16 alone a training step of GAN-CLS took 1.25 times as long as in float32; see
    docs/benchmarks.md.
    """
    facts = dict(_fact(line) for line in reversed(information.splitlines()))
    flags = facts.get("flags", "").split()
    return "amx_bf16" in flags or ("avx512_bf16" in flags and facts.get("vendor_id") == "AuthenticAMD")


def _fact(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
