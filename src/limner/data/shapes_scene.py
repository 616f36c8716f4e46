"""The scenes of the data set ``shapes``: their parts, the held-out combinations, the draws.

Lengths are in units of the picture's side: x grows to the right, y downwards, the picture is the unit square.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np

from limner.errors import LimnerError
from limner.randomness import stream

T = TypeVar("T")

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "dotted")
PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
RELATIONS = ("left of", "above")
GROUND_COLOURS = ("grey", "beige", "turquoise", "slate")
GROUND_TEXTURES = ("plain", "checked", "shaded")

GROUNDS_OF = {
    "red": ("grey", "beige", "turquoise", "slate"),
    "green": ("grey", "beige", "turquoise", "slate"),
    "blue": ("grey", "beige", "turquoise"),
    "yellow": ("grey", "turquoise", "slate"),
    "purple": ("grey", "beige", "turquoise"),
    "orange": ("grey", "beige", "turquoise", "slate"),
    "white": ("grey", "slate"),
    "black": ("grey", "beige", "turquoise"),
}
"""The ground colours that each object colour stands out from."""

HELD_OUT_COLOUR_SHAPE = frozenset({
    ("red", "square"), ("green", "star"), ("blue", "heart"), ("yellow", "ring"),
    ("purple", "triangle"), ("orange", "cross"), ("white", "diamond"), ("black", "circle"),
})
"""Pairs of colour and shape that no scene of train or val contains: every colour and every shape once."""

HELD_OUT_PLACE_SHAPE = frozenset({
    ("top left", "circle"), ("top", "star"), ("top right", "ring"), ("left", "heart"), ("centre", "triangle"),
    ("right", "square"), ("bottom left", "diamond"), ("bottom", "cross"), ("bottom right", "star"),
})
"""Pairs of place and shape that no single-object scene of train or val contains: every place once."""

Split = Literal["train", "val", "test"]
Objects = Literal["1", "2", "3", "mixed"]

_RADII = {
    1: {"small": (0.12, 0.138), "large": (0.21, 0.235)},
    2: {"small": (0.115, 0.13), "large": (0.165, 0.185)},
    3: {"small": (0.105, 0.12), "large": (0.14, 0.148)},
}
"""Half the side of an object, by the number of objects in the scene: smaller company, same meaning of the words."""

_MARGIN = 0.015
_MAX_TILT = 0.14


@dataclass(frozen=True)
class Kind:
    """What an object looks like: the words that a caption has for it."""

    shape: str
    colour: str
    size: str
    texture: str


@dataclass(frozen=True)
class Item:
    """One object: its kind and where it stands. ``radius`` is half its side, ``tilt`` its rotation in radians."""

    kind: Kind
    x: float
    y: float
    radius: float
    tilt: float


@dataclass(frozen=True)
class Ground:
    """The ground. ``variant`` in [0, 1) picks the direction of the shade or the width of the checks."""

    colour: str
    texture: str
    variant: float


@dataclass(frozen=True)
class Scene:
    """A scene: groups of equal objects, in reading order (left to right or top to bottom).

    One group of one object has a ``place``; everything else has a ``relation``, which is how each group stands to
    the next one, or how the members of a lone group stand to each other.
    """

    groups: tuple[tuple[Item, ...], ...]
    ground: Ground
    place: str | None
    relation: str | None

    @property
    def items(self) -> tuple[Item, ...]:
        """All objects, group by group."""
        return tuple(item for group in self.groups for item in group)


def is_held_out(scene: Scene) -> bool:
    """Whether the scene contains a combination that only the split ``test`` may contain."""
    kinds = [item.kind for item in scene.items]
    if any((kind.colour, kind.shape) in HELD_OUT_COLOUR_SHAPE for kind in kinds):
        return True
    return scene.place is not None and (scene.place, kinds[0].shape) in HELD_OUT_PLACE_SHAPE


_SEEN_PAIRS = [pair for pair in itertools.product(COLOURS, SHAPES) if pair not in HELD_OUT_COLOUR_SHAPE]
_UNSEEN_PAIRS = sorted(HELD_OUT_COLOUR_SHAPE)
_ALL_SINGLES = list(itertools.product(COLOURS, SHAPES, PLACES))
_SEEN_SINGLES = [
    (colour, shape, place) for colour, shape, place in _ALL_SINGLES
    if (colour, shape) not in HELD_OUT_COLOUR_SHAPE and (place, shape) not in HELD_OUT_PLACE_SHAPE
]
_UNSEEN_SINGLES = sorted(set(_ALL_SINGLES) - set(_SEEN_SINGLES))


def sample_scene(seed: int, split: Split, index: int, *, objects: Objects = "1") -> Scene:
    """Scene ``index`` of a split: a pure function of its arguments.

    train and val hold combinations that are allowed everywhere, test only scenes with at least one held-out
    combination (``is_held_out``). ``objects`` is the number of objects, or "mixed" for one to three at equal shares.
    """
    if split not in get_args(Split):
        raise LimnerError(f"split must be one of {', '.join(get_args(Split))}, got {split!r}.")
    if objects not in get_args(Objects):
        raise LimnerError(f"objects must be one of {', '.join(get_args(Objects))}, got {objects!r}.")
    rng = stream(seed, f"shapes/scene/{split}", index)
    number = int(rng.integers(1, 4)) if objects == "mixed" else int(objects)
    if number == 1:
        return _single(rng, unseen=split == "test")
    return _several(rng, number, unseen=split == "test")


def _pick(rng: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(rng.integers(len(values)))]


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _ground(rng: np.random.Generator, kinds: list[Kind]) -> Ground:
    colours = [colour for colour in GROUND_COLOURS if all(colour in GROUNDS_OF[kind.colour] for kind in kinds)]
    texture = "plain" if rng.random() < 0.5 else _pick(rng, GROUND_TEXTURES[1:])
    return Ground(_pick(rng, colours), texture, float(rng.random()))


def _single(rng: np.random.Generator, *, unseen: bool) -> Scene:
    colour, shape, place = _pick(rng, _UNSEEN_SINGLES if unseen else _SEEN_SINGLES)
    kind = Kind(shape, colour, _pick(rng, SIZES), _pick(rng, TEXTURES))
    radius = _uniform(rng, *_RADII[1][kind.size])
    row, column = divmod(PLACES.index(place), 3)
    item = Item(kind, _along(rng, column, radius), _along(rng, row, radius), radius, _tilt(rng))
    return Scene(((item,),), _ground(rng, [kind]), place, None)


def _along(rng: np.random.Generator, third: int, radius: float) -> float:
    """A coordinate in the first, middle or last third, with the object inside the picture."""
    if third == 1:
        return _uniform(rng, 0.46, 0.54)
    near = _uniform(rng, radius + _MARGIN, 0.29)
    return near if third == 0 else 1 - near


def _tilt(rng: np.random.Generator) -> float:
    return _uniform(rng, -_MAX_TILT, _MAX_TILT)


def _several(rng: np.random.Generator, number: int, *, unseen: bool) -> Scene:
    counts = _pick(rng, ((2,), (1, 1), (1, 1)) if number == 2 else ((3,), (1, 2), (2, 1), (1, 1, 1)))
    held_out = int(rng.integers(len(counts))) if unseen else -1
    kinds: list[Kind] = []
    while len(kinds) < len(counts):
        colour, shape = _pick(rng, _UNSEEN_PAIRS if len(kinds) == held_out else _SEEN_PAIRS)
        # neighbours that share colour and shape would differ by size or texture alone: too subtle to be a relation
        if all((colour, shape) != (kind.colour, kind.shape) for kind in kinds):
            kinds.append(Kind(shape, colour, _pick(rng, SIZES), _pick(rng, TEXTURES)))
    relation = _pick(rng, RELATIONS)
    radii = [_uniform(rng, *_RADII[number][kind.size]) for kind in kinds]
    spans = _spread(rng, radii if len(counts) > 1 else radii * number)
    groups = []
    for position, (kind, count, radius) in enumerate(zip(kinds, counts, radii, strict=True)):
        if len(counts) == 1:
            along, across = spans, [_uniform(rng, 0.42, 0.58)] * count
        else:
            along, across = [spans[position]] * count, _across(rng, count, radius)
        wobble = [_uniform(rng, -0.015, 0.015) for _ in range(count)] if count > 1 else [0.0]
        places = [(a, b + w) if len(counts) == 1 else (a + w, b)
                  for a, b, w in zip(along, across, wobble, strict=True)]
        if relation == "above":
            places = [(b, a) for a, b in places]
        groups.append(tuple(Item(kind, x, y, radius, _tilt(rng)) for x, y in places))
    return Scene(tuple(groups), _ground(rng, kinds), None, relation)


def _spread(rng: np.random.Generator, radii: list[float]) -> list[float]:
    """Centres of objects one after the other along the unit interval, with the free length shared out by lot."""
    gap = 0.04
    free = 1 - 2 * _MARGIN - 2 * sum(radii) - gap * (len(radii) - 1)
    shares = rng.dirichlet([2.0] * (len(radii) + 1))
    centres, at = [], _MARGIN
    for radius, share in zip(radii, shares[:-1], strict=True):
        at += free * float(share) + radius
        centres.append(at)
        at += radius + gap
    return centres


def _across(rng: np.random.Generator, count: int, radius: float) -> list[float]:
    """Coordinates across the direction of the relation: near the middle for one, side by side for two."""
    if count == 1:
        return [_uniform(rng, 0.40, 0.60)]
    return _spread(rng, [radius] * count)
