"""How fast a painter paints, and in how much memory. Protocol: docs/evaluation.md."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import numpy as np
import torch

from limner.evaluation.bench import Bench
from limner.evaluation.metric import Line, Measured, Metric
from limner.systems.protocol import Request
from limner.systems.rows import ROWS

PROTOCOL = "timing-1"
REPEATS = 10
SECONDS = 20.0
"""Nothing new is begun in a part of the measurement that has taken so long."""
_PROCESS = Path("/proc/self")


def _measure(bench: Bench) -> Measured:
    requests = bench.requests(bench.captions)
    batch = [requests[place % len(requests)] for place in range(ROWS)]
    _timed(bench, requests[:1])  # warms up
    latencies = _repeated(bench, [[requests[place % len(requests)]] for place in range(REPEATS)])
    _forget_peak(bench.device)
    batches = _repeated(bench, [batch] * REPEATS)
    peak = _peak(bench.device)
    latency = float(np.median(latencies))
    throughput = ROWS / float(np.median(batches))
    record = {"protocol": PROTOCOL, "latency_seconds": latency, "latencies": latencies,
              "pictures_per_second": throughput, "batch": ROWS, "batch_seconds": batches,
              "peak_mib": peak, "side": int(bench.paint(requests[:1]).shape[1]),
              "device": _device_name(bench.device), "threads": torch.get_num_threads()}
    threads = torch.get_num_threads()
    where = f"{record['device']}, {threads} thread{'s' if threads > 1 else ''}"
    lines = [Line("latency", f"{latency * 1000:.1f} ms", "lower", f"one painting, median of {len(latencies)}; {where}"),
             Line("throughput", f"{throughput:.1f} /s", "higher", f"{ROWS} paintings at once; {where}")]
    if peak is not None:
        of = "device memory" if bench.device.type == "cuda" else "the whole process, evaluation included,"
        lines.append(Line("peak memory", f"{peak:.0f} MiB", "lower", f"{of} while {ROWS} are painted at once"))
    return Measured(record, lines=lines)


METRICS = {"timing": Metric("latency, throughput and memory of painting", lambda bench: None, _measure)}


def _repeated(bench: Bench, jobs: list[list[Request]]) -> list[float]:
    """Seconds of each job, at least one and as many as begin in time."""
    start, seconds = time.perf_counter(), []
    for job in jobs:
        if seconds and time.perf_counter() - start > SECONDS:
            break
        seconds.append(_timed(bench, job))
    return seconds


def _timed(bench: Bench, requests: list[Request]) -> float:
    start = time.perf_counter()
    for _ in bench.painter.paint(requests):  # pictures come to the CPU, so the device has finished
        pass
    return time.perf_counter() - start


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        (_PROCESS / "clear_refs").write_text("5")  # Linux: the peak of the process begins anew
    except OSError:
        return


def _peak(device: torch.device) -> float | None:
    """MiB: allocated on a CUDA device, else resident memory of the process; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
