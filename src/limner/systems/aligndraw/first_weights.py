"""First weights by which small machines learn to draw sooner than by the paper's (measured: docs/systems/aligndraw.md).

The paper starts every matrix at N(0, 0.01): signals fade within a step or two, and windows are eight dots of one pixel
each, with gaps of several pixels between them.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from limner.systems.aligndraw.networks import FIRST_WEIGHTS, Generator, Recognition

_WORDS = 0.3
"""Standard deviation of the word tables, whose rows are the only input of their gates."""
_VALUES = 3.0
"""The same of the words' vectors: a step gets about a tenth of each at first, beside latent numbers of size 1."""
_TIMID = 0.1
"""Share of the usual size for what moves windows and paints: the first strokes are all alike."""


@torch.no_grad()
def scale(generator: Generator, recognition: Recognition) -> None:
    """Gives fresh networks, in place, matrices whose outputs have about the size of their inputs (standard deviation
    one over the root of the number of inputs), forget gates that are open (bias 1), and windows without gaps: filters
    half as wide (standard deviation) as they stand apart."""
    drawing = generator.drawing
    for name, parameter in (*generator.named_parameters(), *recognition.named_parameters()):
        if name.startswith("init"):
            continue
        if name == "word_values":
            parameter *= _VALUES / FIRST_WEIGHTS
        elif name.startswith("lang") and name.endswith("W_in"):
            parameter *= _WORDS / FIRST_WEIGHTS
        elif parameter.dim() == 2 or name == "align.v":
            timid = name.startswith(("patch", "read_head") if drawing.write_places else
                                    ("patch", "read_head", "write_head"))
            parameter *= (_TIMID if timid else 1.0) / (FIRST_WEIGHTS * math.sqrt(len(parameter)))
    lstms = [generator.dec, recognition.enc]
    if generator.captions is not None:
        lstms += [generator.lang_fwd, generator.lang_bwd]
    for part in lstms:
        _forget_gate(part).fill_(1.0)
    for network, name, count in ((generator, "write_head", 0 if drawing.write_places else drawing.write_size),
                                 (recognition, "read_head", drawing.read_size)):
        if count > 1:
            stride = (drawing.image_size - 1) / (count - 1)
            getattr(network, name)["b"][3] = 2 * math.log(stride / 2)


def _forget_gate(part: nn.ParameterDict) -> torch.Tensor:
    bias = part["b"]
    return bias[len(bias) // 4:len(bias) // 2]
