"""How many captions with two words swapped say the same as before after all, on ``shapes`` with one to three things.

    python benchmarks/swapped_captions.py --pictures 25000

Also how many captions have such a form. A discriminator is told that it is wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from limner.data.shapes import shapes_arrays
from limner.data.shapes_captions import COLOUR_WORDS, NUMBER_WORDS, SHAPE_WORDS, SIZE_WORDS, TEXTURE_WORDS
from limner.text.contradiction import Contradictions
from limner.text.swaps import swapped_captions
from limner.text.words import split_words
from turns import report

ATTRIBUTES = {word: (name, value)
              for name, table in (("colour", COLOUR_WORDS), ("size", SIZE_WORDS), ("texture", TEXTURE_WORDS))
              for value, words in table.items() for word in words}
ATTRIBUTES |= {"dots": ("texture", "dotted"), "stripes": ("texture", "striped")}
ATTRIBUTES |= {word: ("number", str(number)) for number, word in NUMBER_WORDS.items() if number > 1}
SHAPES = {plural: value for value, words in SHAPE_WORDS.items() for word in words
          for plural in (word, f"{word}s", f"{word}es")}
GROUND = {"ground", "background"}
OTHERS = {"left", "right", "above", "over", "top", "below", "under", "underneath", "bottom", "row", "column", "side"}


def meaning(caption: str) -> tuple[object, ...]:
    """What a caption says: its things in their order (in any, where nothing tells how they stand), and all other words
    that matter, in theirs."""
    things: list[frozenset[tuple[str, str]]] = []
    said: set[tuple[str, str]] = set()
    ground, others = [], []
    words = list(split_words(caption))
    for place, word in enumerate(words):
        if word in SHAPES:
            things.append(frozenset(said | {("shape", SHAPES[word])}))
            said = set()
        elif word in ("dots", "stripes") and things:
            things[-1] |= {ATTRIBUTES[word]}
        elif word in ATTRIBUTES:
            said.add(ATTRIBUTES[word])
        elif word in GROUND:
            ground.append(tuple(words[max(0, place - 2):place]))
        elif word in OTHERS:
            others.append(word)
    ordered = tuple(things) if others else tuple(sorted(things, key=sorted))
    return ordered, tuple(ground), tuple(others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=25_000)
    parser.add_argument("--show", type=int, default=0, help="also print so many of those that say the same")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    _, records = shapes_arrays(arguments.pictures, size=16, split="train", objects="mixed")
    captions = [caption for record in records for caption in record.captions]
    pictures = torch.arange(len(records)).repeat_interleave(torch.tensor([len(each.captions) for each in records]))
    swapped = swapped_captions(captions, Contradictions(captions, pictures), seed=0)
    several = torch.tensor([len(meaning(caption)[0]) > 1 for caption in captions])  # type: ignore[arg-type]
    there = torch.tensor([text is not None for text in swapped])
    same = [(caption, text) for caption, text in zip(captions, swapped, strict=True)
            if text is not None and meaning(text) == meaning(caption)]
    for caption, text in same[:arguments.show]:
        print(f"{caption}\n    {text}")
    report({"captions": len(captions), "have a swapped form": round(there.float().mean().item(), 4),
            "of those with several things": round(there[several].float().mean().item(), 4),
            "say the same after all": round(len(same) / max(1, int(there.sum())), 4)}, arguments.json)


if __name__ == "__main__":
    main()
