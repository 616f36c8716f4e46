"""The grammar that puts the scenes of the data set ``shapes`` into words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limner.data.shapes_scene import Item, Kind, Scene

CAPTIONS_PER_SCENE = 5

SHAPE_WORDS = {
    "circle": ("circle", "disc"), "square": ("square", "box"), "triangle": ("triangle",), "star": ("star",),
    "ring": ("ring", "hoop"), "cross": ("cross",), "heart": ("heart",), "diamond": ("diamond", "rhombus"),
}
COLOUR_WORDS = {
    "red": ("red", "crimson"), "green": ("green",), "blue": ("blue",), "yellow": ("yellow",),
    "purple": ("purple", "violet"), "orange": ("orange",), "white": ("white",), "black": ("black",),
}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
TEXTURE_WORDS = {"striped": ("striped", "stripy"), "dotted": ("dotted", "spotted")}
TEXTURE_TAILS = {"striped": "with stripes", "dotted": "with dots"}
PLACE_WORDS = {
    "top left": ("in the top left corner", "in the upper left corner", "at the top left"),
    "top": ("at the top", "at the top in the middle", "near the upper edge"),
    "top right": ("in the top right corner", "in the upper right corner", "at the top right"),
    "left": ("on the left", "on the left side", "near the left edge"),
    "centre": ("in the centre", "in the middle", "at the centre"),
    "right": ("on the right", "on the right side", "near the right edge"),
    "bottom left": ("in the bottom left corner", "in the lower left corner", "at the bottom left"),
    "bottom": ("at the bottom", "at the bottom in the middle", "near the lower edge"),
    "bottom right": ("in the bottom right corner", "in the lower right corner", "at the bottom right"),
}
"""Synonyms: the first word or phrase of each is the one that complete captions use."""

RELATION_WORDS = {"left of": ("left of", "to the left of"), "above": ("above", "over", "on top of")}
OPPOSITE_WORDS = {"left of": ("right of", "to the right of"), "above": ("below", "under", "underneath")}
ORDER_WORDS = {"left of": "from left to right", "above": "from top to bottom"}
ARRANGEMENT_WORDS = {("left of", 2): "side by side", ("above", 2): "one above the other",
                     ("left of", 3): "in a row", ("above", 3): "in a column"}
NUMBER_WORDS = {1: "one", 2: "two", 3: "three"}

_PLURALS = {"cross": "crosses", "box": "boxes", "rhombus": "rhombuses"}


def with_article(phrase: str) -> str:
    """The phrase with "a" or "an" before it, by its first letter."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def captions_of(scene: Scene, rng: np.random.Generator) -> tuple[str, ...]:
    """``CAPTIONS_PER_SCENE`` captions of a scene.

    The first is ``complete_caption``; then come a complete one that also names the ground, a complete one that may
    stand in a frame ("there is ..."), one that leaves out some of size, texture and place, and a short one; these
    four with synonyms.
    """
    free = _Wording(rng)
    everything = _statement(scene, _Wording(rng, turn_round=0.0))
    ground = _ground_phrase(scene, free)
    return (
        complete_caption(scene),
        free.pick((f"{everything} {ground}", f"{ground}, {everything}")),
        free.pick(("{}", "there {be} {}", "a picture of {}", "we see {}")).format(
            _statement(scene, _Wording(rng, turn_round=0.0)), be="is" if len(scene.groups[0]) == 1 else "are"),
        _statement(scene, _Wording(rng, leave_out=0.5)),
        _statement(scene, _Wording(rng, leave_out=0.9)),
    )


def complete_caption(scene: Scene) -> str:
    """The caption that names number, size, texture (when not plain), colour, shape and place, in the first words.

    It depends on nothing but what it names: scenes of one label share it.
    """
    return _statement(scene, None)


class _Wording:
    """Choices among synonyms.

    ``leave_out`` is the chance that an optional detail is not mentioned, ``turn_round`` the chance that a place
    stands before its object.
    """

    def __init__(self, rng: np.random.Generator, *, leave_out: float = 0.0, turn_round: float = 0.25) -> None:
        self._rng = rng
        self._leave_out = leave_out
        self._turn_round = turn_round

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        return self._rng.random() < share

    def mentions(self) -> bool:
        return not self.chance(self._leave_out)

    def turns_round(self) -> bool:
        return self.chance(self._turn_round)


def _noun_phrase(kind: Kind, count: int, words: _Wording | None) -> str:
    parts, tail = [], ""
    if words is None:
        parts.append(kind.size)
        parts += [] if kind.texture == "plain" else [kind.texture]
        parts.append(kind.colour)
        noun = kind.shape
    else:
        if words.mentions():
            parts.append(words.pick(SIZE_WORDS[kind.size]))
        if kind.texture != "plain" and words.mentions():
            if words.chance(0.3):
                tail = " " + TEXTURE_TAILS[kind.texture]
            else:
                parts.append(words.pick(TEXTURE_WORDS[kind.texture]))
        parts.append(words.pick(COLOUR_WORDS[kind.colour]))
        noun = words.pick(SHAPE_WORDS[kind.shape])
    if count > 1:
        return " ".join([NUMBER_WORDS[count], *parts, _PLURALS.get(noun, noun + "s")]) + tail
    return with_article(" ".join([*parts, noun])) + tail


def _group_phrase(group: tuple[Item, ...], words: _Wording | None) -> str:
    return _noun_phrase(group[0].kind, len(group), words)


def _statement(scene: Scene, words: _Wording | None) -> str:
    """One caption without its frame; ``words`` None means the complete caption."""
    phrases = [_group_phrase(group, words) for group in scene.groups]
    if scene.place is not None:
        return _placed(phrases[0], PLACE_WORDS[scene.place], words)
    assert scene.relation is not None
    if len(phrases) == 1:
        return _placed(phrases[0], (ARRANGEMENT_WORDS[scene.relation, len(scene.groups[0])],), words)
    if len(phrases) == 2:
        return _related(phrases[0], phrases[1], scene.relation, words)
    return _listed(phrases, scene.relation, words)


def _placed(phrase: str, places: tuple[str, ...], words: _Wording | None) -> str:
    if words is None:
        return f"{phrase} {places[0]}"
    if not words.mentions():
        return phrase
    place = words.pick(places)
    return f"{place}, {phrase}" if words.turns_round() else f"{phrase} {place}"


def _related(first: str, second: str, relation: str, words: _Wording | None) -> str:
    if words is None:
        return f"{first} {RELATION_WORDS[relation][0]} {second}"
    if not words.mentions():
        return f"{first} and {second}" if words.chance(0.5) else f"{second} and {first}"
    if words.chance(0.5):
        return f"{second} {words.pick(OPPOSITE_WORDS[relation])} {first}"
    return f"{first} {words.pick(RELATION_WORDS[relation])} {second}"


def _listed(phrases: list[str], relation: str, words: _Wording | None) -> str:
    listing = f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    if words is not None and not words.mentions():
        return listing
    order = ORDER_WORDS[relation]
    return f"{order}, {listing}" if words is not None and words.turns_round() else f"{listing} {order}"


def _ground_phrase(scene: Scene, words: _Wording) -> str:
    ground = scene.ground.colour
    if scene.ground.texture != "plain" and words.chance(0.7):
        ground = f"{scene.ground.texture} {ground}"
    return f"{words.pick(('on', 'against'))} {with_article(ground)} {words.pick(('background', 'ground'))}"
