"""Extra inputs of painting that several systems honour, with one line of help each, for ``System.inputs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.errors import LimnerError

BLEND_INPUTS = {
    "blend": "a second caption to blend into the first",
    "blend_seed": "a second seed whose noise is blended into the first's",
    "blend_amount": "how far to go towards the second caption or seed, 0 to 1 (default 0.5)",
}
"""Of painters that paint between two captions or two noises (``systems/blending.py``)."""

COMPLETE_INPUTS = {
    "complete": "0 to paint from the caption alone, where a prior would complete it first (default 1)",
}
"""Of painters that may have a prior over captions (``systems/completing.py``)."""

TEMPERATURE_INPUT = "factor on the noise that paints, 0 to 1 (1: as in training); less is plainer and more legible"


def temperature_of(inputs: Mapping[str, Any], usual: float) -> float:
    """That of a request, else the painter's usual one. Raises LimnerError for anything but a number from 0 to 1."""
    temperature = inputs.get("temperature", usual)
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 <= temperature <= 1:
        raise LimnerError(f"temperature must be a number from 0 to 1 (1 as in training), got {temperature!r}.")
    return float(temperature)
