"""Which words alignDRAW looks at while it paints digits: content against function words, beside two controls.

    python benchmarks/aligndraw_attention.py --model runs/digits --captions 400

Captions are held-out combinations of the data set digits. A kind of words gets ``ratio`` times the attention that it
would get if all words of the caption got the same. Controls: the same networks with first weights, and the trained ones
with the numbers of each tensor of the alignment in random order. Without --model the first control alone is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import limner
from limner.data.digits import TEMPLATES, caption_of, sample_layout
from limner.painting.painter import Painter
from limner.randomness import stream, torch_generator
from limner.systems import get_system
from limner.systems.aligndraw.build import fresh_networks
from limner.systems.aligndraw.config import AlignDrawConfig
from limner.systems.aligndraw.presets import PRESETS
from limner.systems.protocol import Request
from limner.text.words import WordTokeniser
from limner.training.stage import Components, weights_of
from turns import conditions, report

KINDS = {"digits": frozenset("0123456789"), "places": frozenset(("left", "right", "top", "bottom")),
         "function": frozenset(("the", "digit", "is", "on", "at", "of", "image"))}
RESAMPLES = 1000


def held_out_captions(count: int, seed: int) -> list[str]:
    """Captions of combinations that the training pictures of ``digits`` never show."""
    labels, captions = np.arange(10), []
    for number in range(count):
        rng = stream(seed, "attention captions", number)
        layout = sample_layout(lambda low, high, rng=rng: int(rng.integers(low, high + 1)), labels, unseen=True)
        captions.append(caption_of(layout, labels))
    return captions


def untrained(config: AlignDrawConfig, tokeniser: WordTokeniser, seed: int) -> Painter:
    """A painter of the same structure with first weights."""
    generator, _ = fresh_networks(config, tokeniser, seed)
    return _painter(config, Components({"generator": weights_of(generator)}, {"tokeniser": tokeniser.to_json()}))


def shuffled(painter: Painter, seed: int) -> Painter:
    """The painter with the numbers of each of the alignment's tensors in random order."""
    weights = dict(painter.components.weights["generator"])
    for name in weights:
        if name.startswith("align."):
            order = torch.randperm(weights[name].numel(), generator=torch_generator(seed, f"shuffled {name}"))
            weights[name] = weights[name].flatten()[order].view_as(weights[name])
    return _painter(painter.config, Components({"generator": weights}, painter.components.assets))


def _painter(config: AlignDrawConfig, components: Components) -> Painter:
    system = get_system("aligndraw")
    return Painter(system, config, system.build_painter(config, components))


def looked_at(painter: Painter, captions: Sequence[str], seed: int) -> dict[str, object]:
    """Ratios by kind with 95 % intervals (bootstrap over captions), attention by word, and how uneven it is."""
    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
    by_word: dict[str, list[float]] = {}
    largest = []
    requests = [Request(caption, seed + number, 0) for number, caption in enumerate(captions)]
    for painting in painter.paint(requests):
        words, weights = painting.attention.words, painting.attention.weights
        shares = weights.mean(0) * len(words)
        largest.append(float(weights.max(1).mean()))
        for kind, members in KINDS.items():
            places = [place for place, word in enumerate(words) if word in members]
            ratios[kind].append(float(shares[places].mean()))
        for word, share in zip(words, shares, strict=True):
            by_word.setdefault("a digit" if word in KINDS["digits"] else word, []).append(float(share))
    rng = stream(seed, "attention bootstrap")
    found: dict[str, object] = {}
    for kind, values in ratios.items():
        means = np.array(values)[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
        found[kind] = {"ratio": round(float(np.mean(values)), 3),
                       "interval": [round(float(bound), 3) for bound in np.quantile(means, (0.025, 0.975))]}
    found["largest weight of a step"] = round(float(np.mean(largest)), 3)
    found["words"] = {word: round(float(np.mean(values)), 3)
                      for word, values in sorted(by_word.items(), key=lambda pair: -np.mean(pair[1]))}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="run or bundle of an alignDRAW trained on digits")
    parser.add_argument("--captions", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    captions, seed = held_out_captions(arguments.captions, arguments.seed), arguments.seed
    painters: dict[str, Painter] = {}
    if arguments.model:
        trained = limner.load(arguments.model, device="cpu")
        tokeniser = WordTokeniser.from_json(trained.components.assets["tokeniser"])
        painters = {"trained": trained, "alignment in random order": shuffled(trained, seed)}
        config = trained.config
    else:
        config = PRESETS["aligndraw-debug"]()
        tokeniser = WordTokeniser.from_captions([template.format(*range(2)) for template in TEMPLATES],
                                                length=12)
    painters["first weights"] = untrained(config, tokeniser, seed)
    report({"conditions": conditions(), "captions": len(captions), "seed": seed,
            **{name: looked_at(painter, captions, seed) for name, painter in painters.items()}}, arguments.json)


if __name__ == "__main__":
    main()
