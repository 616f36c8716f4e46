"""The metrics: an explicit table, metric -> module of this room. How to add one stands in ``metric.py``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from limner.errors import LimnerError

if TYPE_CHECKING:
    from limner.evaluation.bench import Bench
    from limner.evaluation.metric import Metric

_MODULES = {
    "faithfulness": "faithfulness",
    "diversity": "diversity",
    "fid": "frechet",
    "kid": "kernel_distance",
    "prdc-inception": "prdc",
    "inception-score": "inception_score",
    "fd-oracle": "frechet",
    "kd-oracle": "kernel_distance",
    "prdc-oracle": "prdc",
    "fd-own": "frechet",
    "kd-own": "kernel_distance",
    "prdc-own": "prdc",
    "r-precision-own": "r_precision",
    "fd-judge": "frechet",
    "kd-judge": "kernel_distance",
    "prdc-judge": "prdc",
    "r-precision-judge": "r_precision",
    "fd-pretrained": "frechet",
    "kd-pretrained": "kernel_distance",
    "prdc-pretrained": "prdc",
    "likelihood": "likelihood",
    "timing": "timing",
}


def metric_names() -> tuple[str, ...]:
    """All names, in the order in which they are measured and shown."""
    return tuple(_MODULES)


def get_metric(name: str) -> Metric:
    """The metric of that name. Raises LimnerError that lists the names."""
    if name not in _MODULES:
        raise LimnerError(f"there is no metric {name!r}{_hint(name)}; the metrics are {', '.join(_MODULES)}.")
    return import_module(f"limner.evaluation.{_MODULES[name]}").METRICS[name]


def chosen(bench: Bench, names: Sequence[str] | None) -> tuple[dict[str, Metric], dict[str, str]]:
    """The metrics to measure, in the order of the table, and why others are passed over.

    ``names`` of None takes all that the data and the painter allow. Raises LimnerError for an unknown name, for one
    whose needs are not met, and if nothing is left.
    """
    for name in names or ():
        get_metric(name)
    metrics, passed_over = {}, {}
    for name in metric_names():
        if names is not None and name not in names:
            continue
        metric = get_metric(name)
        lacking = metric.needs(bench)
        if lacking is None:
            metrics[name] = metric
        elif names is None:
            passed_over[name] = lacking
        else:
            raise LimnerError(f"{name} cannot be measured here: {lacking}.")
    if not metrics:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in passed_over.items())
        raise LimnerError(f"no metric can be measured here ({reasons})." if reasons else "no metric was named.")
    return metrics, passed_over


def _hint(name: str) -> str:
    """The right name for a metric on features that do not belong to it."""
    family, dash, features = name.partition("-")
    if not dash:
        return ""
    if family in ("fd", "kd") and features == "inception":
        return f" (on the standard Inception weights it is called {'fid' if family == 'fd' else 'kid'})"
    if family in ("fid", "kid"):
        return (f" ({family.upper()} is a distance in the features of the standard Inception-v3 weights and of no "
                f"others; in other features it is {'fd' if family == 'fid' else 'kd'}-{features})")
    return ""
