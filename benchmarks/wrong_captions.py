"""How many of the close wrong captions are right for the picture after all, by the scenes of ``shapes`` themselves.

    python benchmarks/wrong_captions.py --pictures 25000 --rows 3000

For captions of single things, the close caption that a discriminator is told as wrong, with and without the check that
it contradicts the picture. Also, how many of all captions that are wrong in truth the check lets pass.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from limner.data.record import Record
from limner.data.shapes import shapes_arrays
from limner.data.shapes_captions import COLOUR_WORDS, PLACE_WORDS, SHAPE_WORDS, SIZE_WORDS, TEXTURE_TAILS, TEXTURE_WORDS
from limner.randomness import torch_generator
from limner.text.contradiction import Contradictions
from limner.text.overlap import WordOverlap
from turns import report

GROUND = re.compile(r"(?:on|against) an? (?:(\w+) )?(\w+) (?:ground|background)")
LENGTHS = {"up to 5 words": (0, 6), "6 to 8": (6, 9), "9 and more": (9, 99), "all": (0, 99)}


class Everything(Contradictions):
    """Takes every caption for a contradiction: what was done before there was a check."""

    def between(self, captions: Tensor, others: Tensor) -> Tensor:
        return torch.ones(len(captions), len(others), dtype=torch.bool)


def said(caption: str) -> dict[str, str]:
    """The attributes that a caption of a single thing names."""
    found = {}
    ground = GROUND.search(caption)
    if ground:
        found["ground"] = ground[2]
        if ground[1]:
            found["ground texture"] = ground[1]
        caption = caption.replace(ground[0], "")
    places = [(len(phrase), place) for place, phrases in PLACE_WORDS.items() for phrase in phrases if phrase in caption]
    if places:
        found["place"] = max(places)[1]
    words = set(caption.replace(",", "").split())
    tables: dict[str, Mapping[str, Sequence[str]]] = {"shape": SHAPE_WORDS, "colour": COLOUR_WORDS, "size": SIZE_WORDS,
                                                      "texture": TEXTURE_WORDS}
    for name, table in tables.items():
        for value, names in table.items():
            if words & set(names) or (name == "texture" and TEXTURE_TAILS[value] in caption):
                found[name] = value
    return found


def right(caption: str, record: Record) -> bool:
    """Whether all that a caption says is so."""
    return said(caption).items() <= (record.attributes or {}).items()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=25_000)
    parser.add_argument("--rows", type=int, default=3000, help="captions for which a close one is drawn")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    _, records = shapes_arrays(arguments.pictures, size=16, split="train")
    captions = [caption for record in records for caption in record.captions]
    pictures = torch.arange(len(records)).repeat_interleave(torch.tensor([len(each.captions) for each in records]))
    names = {name: number for number, name in enumerate(sorted({str(each.label) for each in records}))}
    kinds = torch.tensor([names[str(each.label)] for each in records])[pictures]
    assert all(right(caption, records[owner]) for caption, owner in zip(captions, pictures.tolist(), strict=True))
    draws = torch_generator(0, "wrong captions")
    rows = torch.randint(0, len(captions), (arguments.rows,), generator=draws)
    overlap = WordOverlap(captions, kinds, pictures)
    checked = overlap._contradictions
    result: dict[str, object] = {}
    for name, rule in (("unchecked", Everything(captions[:1], pictures[:1])), ("contradicting the picture", checked)):
        overlap._contradictions = rule
        shares: dict[str, list[bool]] = {length: [] for length in LENGTHS}
        for part in rows.split(100):
            chosen, found = overlap.closest(part, kinds[part], torch.rand(1, 512, generator=draws))
            for row, other in zip(part[found[0]].tolist(), chosen[0][found[0]].tolist(), strict=True):
                for length, (least, beyond) in LENGTHS.items():
                    if least <= len(captions[row].split()) < beyond:
                        shares[length].append(right(captions[other], records[int(pictures[row])]))
        result[name] = {length: {"captions": len(each), "right in truth": round(sum(each) / max(1, len(each)), 4)}
                        for length, each in shares.items()}
    some, others = rows[:200], torch.randint(0, len(captions), (512,), generator=draws)
    passed = checked.between(some, others)
    wrong = torch.tensor([[not right(captions[other], records[int(pictures[row])]) for other in others.tolist()]
                          for row in some.tolist()])
    result["of captions wrong in truth, taken for wrong"] = round(passed[wrong].float().mean().item(), 4)
    report(result, arguments.json)


if __name__ == "__main__":
    main()
