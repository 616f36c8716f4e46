"""Extra inputs of painting that several systems honour, with one line of help each, for ``System.inputs``."""

from __future__ import annotations

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
