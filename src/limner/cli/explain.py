"""limner explain: which regions of a picture the words of a caption match."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.terminal import say
from limner.errors import LimnerError

if TYPE_CHECKING:
    import numpy as np

_EXAMPLES = """\
examples:
  limner explain bird.jpg "a small red bird" --model runs/birds --out why.png
  limner explain painting.png --model runs/birds           a picture of Limner brings its caption along

The matching model of a run of limner train attngan judges, nothing else; the picture may come from anywhere.
It is squashed to a square, as in training. What each word did while a picture was painted:
limner paint ... --explain FILE.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "explain", parents=[common], help="show which regions of a picture match which words", epilog=_EXAMPLES,
        description="Shows which regions of a picture each word of a caption matches, how well, and what the match "
                    "would be without the word.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture")
    parser.add_argument("caption", nargs="?", metavar="CAPTION",
                        help="what it is said to show (default: the caption in a PNG of Limner)")
    parser.add_argument("--model", type=Path, required=True, metavar="RUN",
                        help="a run folder of limner train attngan, or one of its stages, that holds a matching model")
    parser.add_argument("--out", default="explanation.png", metavar="FILE",
                        help="PNG to write (default explanation.png)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object instead of the path")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from limner.painting.png import png_path, read_story

    png_path(arguments.out)
    image = _square(arguments.image)
    caption = arguments.caption
    if caption is None:
        story = read_story(arguments.image)
        if "caption" not in story:
            raise LimnerError(f"{arguments.image} is a grid of pictures: give the picture of one, and its caption.")
        caption = story["caption"]
    from limner.matching.damsm.scorer import DamsmScorer
    from limner.painting.explain import save_match

    scorer = DamsmScorer.from_run(arguments.model)
    match = scorer.explain(image, caption)
    unknown = scorer.vocabulary.unknown(caption)
    if unknown:
        say(f"warning: unknown words, left out: {', '.join(map(repr, dict.fromkeys(unknown)))}")
    path = save_match(arguments.out, image, match)
    if arguments.json:
        words = [{"word": word, "cosine": round(float(cosine), 4), "without": round(float(without), 4)}
                 for word, cosine, without in zip(match.words, match.cosines, match.without, strict=True)]
        print(json.dumps({"file": str(path), "caption": caption, "match": round(match.whole, 4), "words": words}))
    else:
        print(path)


def _square(path: Path) -> np.ndarray:
    """A picture file as uint8 (S, S, 3), squashed where it is no square."""
    from limner.data.decoding import decode_picture, squash

    image = decode_picture(path)
    return squash(image, max(image.size))
