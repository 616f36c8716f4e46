"""The built-in data set ``shapes``: generated scenes with captions and ground truth for everything.

One to three objects (shape x colour x size x texture x place) on plain or textured ground, drawn anti-aliased at any
size. Picture ``index`` of a split is a pure function of (seed, split, index, objects, size). The split ``test``
holds combinations that ``train`` never shows, see ``limner.data.shapes_scene``.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from limner.data.cache import Progress
from limner.data.generated_folder import split_counts, write_generated
from limner.data.record import Record
from limner.data.shapes_captions import captions_of
from limner.data.shapes_drawing import KEYPOINT_NAMES, box_of, draw_scene, item_keypoints
from limner.data.shapes_scene import (
    COLOURS,
    HELD_OUT_COLOUR_SHAPE,
    HELD_OUT_PLACE_SHAPE,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Item,
    Kind,
    Objects,
    Scene,
    Split,
    sample_scene,
)
from limner.errors import LimnerError
from limner.randomness import stream

SIZE_RANGE = (16, 256)
"""Smallest and largest side of a picture in pixels. Below 48 the textures are hard to tell apart."""


def label_of(scene: Scene) -> int:
    """The class of a scene: scenes whose complete captions are equal share it, others do not.

    Single objects have the labels 0 to 3455 (shape, colour, size, texture, place in mixed radix); larger numbers
    stand for scenes of several objects.
    """
    if scene.place is not None:
        return _kind_number(scene.items[0].kind) * len(PLACES) + PLACES.index(scene.place)
    assert scene.relation is not None
    kinds = len(SHAPES) * len(COLOURS) * len(SIZES) * len(TEXTURES)
    label = 0
    for group in scene.groups:  # digits 1 to 3 * kinds in base 3 * kinds: no two lists of groups share a number
        label = label * 3 * kinds + _kind_number(group[0].kind) * 3 + len(group)
    return kinds * len(PLACES) + label * len(RELATIONS) + RELATIONS.index(scene.relation)


def _kind_number(kind: Kind) -> int:
    number = SHAPES.index(kind.shape)
    for words, word in ((COLOURS, kind.colour), (SIZES, kind.size), (TEXTURES, kind.texture)):
        number = number * len(words) + words.index(word)
    return number


def attributes_of(scene: Scene) -> dict[str, str]:
    """The attributes of a scene by name.

    A single object has shape, colour, size, texture and place. Otherwise each group of equal objects has its own
    ("shape 1", "colour 1", "size 1", "texture 1", "count 1", then "shape 2" ...), numbered from left to right or
    from top to bottom, and "relation" is "left of" or "above". Both have ground and ground texture.
    """
    ground = {"ground": scene.ground.colour, "ground texture": scene.ground.texture}
    if scene.place is not None:
        return {**_kind_words(scene.items[0].kind), "place": scene.place, **ground}
    assert scene.relation is not None
    attributes = {}
    for number, group in enumerate(scene.groups, 1):
        words = {**_kind_words(group[0].kind), "count": str(len(group))}
        attributes |= {f"{name} {number}": word for name, word in words.items()}
    return {**attributes, "relation": scene.relation, **ground}


def _caption_attributes(objects: Objects) -> list[str]:
    """The attributes that the first caption of a scene decides: all but those of the ground."""
    kind = [field.name for field in fields(Kind)]
    numbers = {"1": (), "2": (1, 2), "3": (1, 2, 3), "mixed": (1, 2, 3)}[objects]
    single = [*kind, "place"] if objects in ("1", "mixed") else []
    several = [f"{name} {number}" for number in numbers for name in (*kind, "count")]
    return single + several + (["relation"] if several else [])


def _kind_words(kind: Kind) -> dict[str, str]:
    return {"shape": kind.shape, "colour": kind.colour, "size": kind.size, "texture": kind.texture}


def _object(item: Item, group: int, size: int) -> dict[str, Any]:
    keypoints = item_keypoints(item, size)
    return {**_kind_words(item.kind), "group": group, "bbox": list(box_of(keypoints)),
            "keypoints": [list(point) for point in keypoints]}


def scene_record(scene: Scene, size: int, *, captions: tuple[str, ...], file_name: str, split: str) -> Record:
    """Everything that is known of a scene drawn at ``size``.

    ``bbox`` is the box around all objects, ``keypoints`` are those of the first object, ``objects`` lists every
    object with its own box and key points; all in pixels.
    """
    objects = tuple(_object(item, number, size) for number, group in enumerate(scene.groups, 1) for item in group)
    points = tuple(tuple(point) for entry in objects for point in entry["keypoints"])
    return Record(
        file_name=file_name,
        captions=captions,
        label=label_of(scene),
        bbox=box_of(points),
        keypoints=points[:len(KEYPOINT_NAMES)],
        objects=objects,
        attributes=attributes_of(scene),
        split=split,
    )


def _draw(seed: int, size: int, objects: Objects, split: str, index: int, file_name: str) -> tuple[np.ndarray, Record]:
    scene = sample_scene(seed, cast(Split, split), index, objects=objects)
    captions = captions_of(scene, stream(seed, f"shapes/captions/{split}", index))
    return draw_scene(scene, size), scene_record(scene, size, captions=captions, file_name=file_name, split=split)


def _check_size(size: int) -> None:
    if not SIZE_RANGE[0] <= size <= SIZE_RANGE[1]:
        raise LimnerError(f"size must be between {SIZE_RANGE[0]} and {SIZE_RANGE[1]} pixels, got {size}.")


def shapes_arrays(
    count: int, *, size: int = 64, seed: int = 0, split: Split = "train", objects: Objects = "1", first: int = 0,
) -> tuple[np.ndarray, list[Record]]:
    """Pictures ``first`` to ``first + count - 1`` of a split in memory: uint8 (count, size, size, 3) and their records.

    The same pictures and records as ``make_shapes`` writes with the same settings (but for ``file_name``).
    """
    _check_size(size)
    pictures = np.empty((count, size, size, 3), np.uint8)
    records = []
    for row in range(count):
        name = f"{split}/{first + row:06d}.png"
        pictures[row], record = _draw(seed, size, objects, split, first + row, name)
        records.append(record)
    return pictures, records


def make_shapes(
    out_folder: Path, *, count: int, size: int = 64, seed: int = 0, objects: Objects = "1",
    workers: int = 1, progress: Progress | None = None,
) -> Path:
    """Writes the data set as a folder: 85 % train, 5 % val (seen combinations), 10 % test (held-out combinations).

    ``objects`` is the number of objects in a scene, or "mixed" for one to three. Raises LimnerError for a bad
    option or if the folder is there already.
    """
    _check_size(size)
    sample_scene(seed, "train", 0, objects=objects)  # refuses a bad option before any work
    info = {
        "name": "shapes",
        "description": f"Generated scenes of coloured shapes with captions; objects in a scene: {objects}.",
        "licence": "Apache-2.0, generated by Limner",
        "size": size,
        "seed": seed,
        "objects": objects,
        "keypoint_names": list(KEYPOINT_NAMES),
        "caption_attributes": _caption_attributes(objects),
        "held_out": {
            "colour, shape": sorted(map(list, HELD_OUT_COLOUR_SHAPE)),
            "place, shape": sorted(map(list, HELD_OUT_PLACE_SHAPE)),
        },
    }
    return write_generated(Path(out_folder), partial(_draw, seed, size, objects), counts=split_counts(count),
                           info=info, workers=workers, progress=progress)
