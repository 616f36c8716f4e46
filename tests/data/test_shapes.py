"""The generated scenes: pure, true to their captions and boxes, honest about what is held out."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from limner.data.record import Record
from limner.data.shapes import (
    COLOURS,
    HELD_OUT_COLOUR_SHAPE,
    HELD_OUT_PLACE_SHAPE,
    PLACES,
    SHAPES,
    SIZES,
    TEXTURES,
    attributes_of,
    label_of,
    make_shapes,
    sample_scene,
    shapes_arrays,
)
from limner.data.shapes_captions import (
    CAPTIONS_PER_SCENE,
    COLOUR_WORDS,
    OPPOSITE_WORDS,
    PLACE_WORDS,
    RELATION_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    captions_of,
    complete_caption,
)
from limner.data.shapes_drawing import COLOUR_VALUES, GROUND_VALUES, box_of, draw_scene, item_keypoints
from limner.data.shapes_scene import GROUNDS_OF, Ground, Item, Kind, Scene, is_held_out
from limner.errors import LimnerError
from limner.randomness import stream

NUMBERS = {"a": 1, "an": 1, "two": 2, "three": 3}


def _scenes(split, objects, count=300, seed=5):
    return [sample_scene(seed, split, index, objects=objects) for index in range(count)]


def _alone(shape, *, colour="blue", texture="plain", radius=0.2, tilt=0.0, ground="grey"):
    item = Item(Kind(shape, colour, "large", texture), 0.47, 0.53, radius, tilt)
    return Scene(((item,),), Ground(ground, "plain", 0.0), "centre", None)


# ------------------------------------------------------------------------------------------------------- purity


def test_a_picture_does_not_depend_on_its_neighbours():
    together, records = shapes_arrays(12, seed=3, objects="mixed")
    for index in (11, 0, 7):
        alone, record = shapes_arrays(1, seed=3, objects="mixed", first=index)
        assert np.array_equal(alone[0], together[index])
        assert record[0] == records[index]


def test_seed_split_and_index_change_the_scene():
    scenes = [sample_scene(0, "train", 0), sample_scene(1, "train", 0), sample_scene(0, "val", 0),
              sample_scene(0, "train", 1)]
    assert len(set(scenes)) == 4


# -------------------------------------------------------------------------------------------- held-out combinations


@pytest.mark.parametrize("objects", ["1", "2", "3", "mixed"])
def test_held_out_combinations_are_in_test_only(objects):
    for split in ("train", "val", "test"):
        for scene in _scenes(split, objects):
            pairs = {(item.kind.colour, item.kind.shape) for item in scene.items} & HELD_OUT_COLOUR_SHAPE
            places = {(scene.place, item.kind.shape) for item in scene.items} & HELD_OUT_PLACE_SHAPE
            assert bool(pairs or places) == (split == "test") == is_held_out(scene)


def test_every_single_value_occurs_in_train_and_every_held_out_pair_in_test():
    kinds = [(scene.items[0].kind, scene.place) for scene in _scenes("train", "1", count=600)]
    assert {kind.shape for kind, _ in kinds} == set(SHAPES)
    assert {kind.colour for kind, _ in kinds} == set(COLOURS)
    assert {kind.size for kind, _ in kinds} == set(SIZES)
    assert {kind.texture for kind, _ in kinds} == set(TEXTURES)
    assert {place for _, place in kinds} == set(PLACES)
    unseen = [(scene.items[0].kind, scene.place) for scene in _scenes("test", "1", count=600)]
    assert {(kind.colour, kind.shape) for kind, _ in unseen} >= HELD_OUT_COLOUR_SHAPE
    assert {(place, kind.shape) for kind, place in unseen} >= HELD_OUT_PLACE_SHAPE


def test_the_held_out_tables_leave_each_word_enough_company():
    assert {colour for colour, _ in HELD_OUT_COLOUR_SHAPE} == set(COLOURS)
    assert {shape for _, shape in HELD_OUT_COLOUR_SHAPE} == set(SHAPES)
    assert len(HELD_OUT_COLOUR_SHAPE) == 8
    assert {place for place, _ in HELD_OUT_PLACE_SHAPE} == set(PLACES)
    assert len(HELD_OUT_PLACE_SHAPE) == 9


# ------------------------------------------------------------------------------------------------ scenes and places


def test_the_word_for_the_place_says_where_the_object_is():
    for scene in _scenes("train", "1"):
        item = scene.items[0]
        row, column = int(item.y * 3), int(item.x * 3)
        assert scene.place == PLACES[row * 3 + column]


@pytest.mark.parametrize("objects", ["2", "3"])
def test_relations_hold_and_objects_keep_apart(objects):
    for scene in _scenes("train", objects):
        axis = "x" if scene.relation == "left of" else "y"
        ranks = [[getattr(item, axis) for item in group] for group in scene.groups]
        steps = ranks[0] if len(ranks) == 1 else [value for group in ranks for value in (min(group), max(group))]
        assert steps == sorted(steps)
        assert len(scene.items) == int(objects)
        for one, item in enumerate(scene.items):
            assert item.radius < min(item.x, item.y, 1 - item.x, 1 - item.y)
            for other in scene.items[:one]:
                gap = max(abs(item.x - other.x), abs(item.y - other.y))
                assert gap > item.radius + other.radius


def test_small_and_large_do_not_meet():
    radii = {size: [item.radius for objects in "123" for scene in _scenes("train", objects) for item in scene.items
                    if item.kind.size == size] for size in SIZES}
    assert max(radii["small"]) < min(radii["large"])


def test_labels_are_equal_exactly_when_complete_captions_are():
    scenes = [scene for objects in "123" for scene in _scenes("train", objects, count=1500)]
    by_label = {}
    for scene in scenes:
        by_label.setdefault(label_of(scene), set()).add(complete_caption(scene))
    assert all(len(captions) == 1 for captions in by_label.values())
    assert len({complete_caption(scene) for scene in scenes}) == len(by_label) < len(scenes)
    assert max(by_label) < 2 ** 63
    assert max(label_of(scene) for scene in scenes[:1500]) < 3456


# ----------------------------------------------------------------------------------------------------- captions


def _canonical(word, table):
    return next((name for name, words in table.items() if word in words), None)


def _read_phrase(phrase):
    """(count, size, texture, colour, shape) of a noun phrase, None for what it leaves out."""
    texture = "striped" if re.search("stripe[ds]|stripy", phrase) else (
        "dotted" if re.search("dott|dots|spott", phrase) else None)
    words = re.sub(" with (stripes|dots)", "", phrase).split()
    noun = words[-1]
    for plural, single in (("crosses", "cross"), ("boxes", "box"), ("rhombuses", "rhombus")):
        noun = noun.replace(plural, single)
    shape = _canonical(noun, SHAPE_WORDS) or _canonical(noun.removesuffix("s"), SHAPE_WORDS)
    size = next((name for word in words if (name := _canonical(word, SIZE_WORDS))), None)
    colour = next((name for word in words if (name := _canonical(word, COLOUR_WORDS))), None)
    return NUMBERS[words[0]], size, texture, colour, shape


def _agrees(phrase, group, *, complete):
    count, size, texture, colour, shape = _read_phrase(phrase)
    kind = group[0].kind
    assert (count, colour, shape) == (len(group), kind.colour, kind.shape)
    said = None if kind.texture == "plain" else kind.texture
    assert size == kind.size or (size is None and not complete)
    assert texture == said or (texture is None and not complete)


def _place_in(caption):
    found = [(len(words), place, words) for place, phrases in PLACE_WORDS.items() for words in phrases
             if re.search(rf"\b{words}\b", caption)]
    _, place, words = max(found, default=(0, None, ""))
    return place, re.sub(r"^, |, $", "", caption.replace(words, "").strip()).strip()


def _without_frame(caption):
    caption = re.sub("^(there (is|are)|a picture of|we see) ", "", caption)
    ground = r"(on|against) an? ((checked|shaded) )?(grey|beige|turquoise|slate) (background|ground)"
    return re.sub(f"^{ground}, | {ground}$", "", caption)


def test_captions_of_single_objects_read_back_to_the_scene():
    left_out = 0
    for index, scene in enumerate(_scenes("train", "1")):
        captions = captions_of(scene, stream(0, "test captions", index))
        assert len(captions) == CAPTIONS_PER_SCENE
        assert captions[0] == complete_caption(scene)
        for number, caption in enumerate(captions):
            place, phrase = _place_in(_without_frame(caption))
            assert place == scene.place or (place is None and number >= 3)
            _agrees(phrase, scene.groups[0], complete=number < 3)
            left_out += place is None
    assert left_out > 300


def test_captions_of_pairs_read_back_to_the_scene():
    relations = {word: (name, False) for name, words in RELATION_WORDS.items() for word in words}
    relations |= {word: (name, True) for name, words in OPPOSITE_WORDS.items() for word in words}
    turned = 0
    for index, scene in enumerate(_scenes("train", "2")):
        if len(scene.groups) == 1:
            continue
        for number, caption in enumerate(captions_of(scene, stream(0, "test captions", index))):
            said = _without_frame(caption)
            word = max((word for word in relations if f" {word} " in said), key=len, default=None)
            first, second = said.split(f" {word} " if word else " and ")
            name, swapped = relations[word] if word else (scene.relation, None)
            assert name == scene.relation
            if swapped is None:
                assert number >= 3
                swapped = _read_phrase(first)[3:] != (scene.items[0].kind.colour, scene.items[0].kind.shape)
            groups = scene.groups[::-1] if swapped else scene.groups
            _agrees(first, groups[0], complete=number < 3)
            _agrees(second, groups[1], complete=number < 3)
            turned += swapped
    assert turned > 100


def test_complete_captions_by_hand():
    ring = Item(Kind("ring", "orange", "small", "plain"), 0.2, 0.2, 0.12, 0)
    star = Item(Kind("star", "blue", "large", "striped"), 0.5, 0.7, 0.15, 0)
    cross = Item(Kind("cross", "red", "large", "dotted"), 0.8, 0.5, 0.14, 0)
    grey = Ground("grey", "plain", 0)
    assert complete_caption(Scene(((ring,),), grey, "top left", None)) == "a small orange ring in the top left corner"
    assert complete_caption(Scene(((ring,), (star, star)), grey, None, "above")) == (
        "a small orange ring above two large striped blue stars")
    assert complete_caption(Scene(((cross, cross, cross),), grey, None, "left of")) == (
        "three large dotted red crosses in a row")
    assert complete_caption(Scene(((ring,), (star,), (cross,)), grey, None, "left of")) == (
        "a small orange ring, a large striped blue star and a large dotted red cross from left to right")


def test_articles_and_vocabulary():
    captions = [caption for objects in ("1", "2", "3") for index, scene in enumerate(_scenes("test", objects, 500))
                for caption in captions_of(scene, stream(1, "test captions", index))]
    text = "\n".join(captions)
    assert not re.search(r"\ba [aeiou]", text)
    assert not re.search(r"\ban [^aeiou]", text)
    assert re.search(r"\ban orange (ring|hoop)", text)
    assert re.fullmatch(r"[a-z, \n]+", text)
    words = set(re.findall("[a-z]+", text))
    assert 90 < len(words) < 130


# ------------------------------------------------------------------------------------------------------ drawing


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [24, 64, 160])
def test_boxes_enclose_what_is_drawn_and_no_more(shape, size):
    for tilt in (-0.14, 0.0, 0.1):
        scene = _alone(shape, radius=0.22, tilt=tilt)
        picture = draw_scene(scene, size).astype(int)
        cover = np.abs(picture - GROUND_VALUES["grey"]).sum(2) / np.abs(
            np.array(COLOUR_VALUES["blue"]) - GROUND_VALUES["grey"]).sum()
        left, top, width, height = box_of(item_keypoints(scene.items[0], size))
        rows, columns = np.nonzero(cover > 0.5)  # pixels whose centre lies inside the outline
        assert columns.min() + 0.5 >= left - 0.01
        assert columns.max() + 0.5 <= left + width + 0.01
        assert rows.min() + 0.5 >= top - 0.01
        assert rows.max() + 0.5 <= top + height + 0.01
        rows, columns = np.nonzero(cover > 0.02)
        # the outline's extremes are points of the object (a sharp tip may cover little of its last two pixels)
        assert columns.min() - 2 <= left + 0.5
        assert columns.max() + 1 >= left + width - 2
        assert rows.min() <= top + 2
        assert rows.max() + 1 >= top + height - 2


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_are_anti_aliased_and_areas_do_not_depend_on_the_size(shape):
    shares = []
    for size in (32, 64, 256):
        picture = draw_scene(_alone(shape), size).astype(float)
        cover = (GROUND_VALUES["grey"][0] - picture[:, :, 0]) / (GROUND_VALUES["grey"][0] - COLOUR_VALUES["blue"][0])
        assert ((cover > 0.05) & (cover < 0.95)).sum() > size / 8
        assert cover.min() > -0.01
        assert cover.max() < 1.01
        shares.append(cover.mean())
    assert max(shares) / min(shares) < 1.04


def test_shapes_colours_and_textures_give_different_pictures():
    pictures = {}
    for shape in SHAPES:
        for texture in TEXTURES:
            pictures[shape, texture] = draw_scene(_alone(shape, texture=texture, radius=0.11), 64).astype(float)
    names = list(pictures)
    distances = [np.abs(pictures[a] - pictures[b]).sum() / 3 / 255 for i, a in enumerate(names) for b in names[:i]]
    assert min(distances) > 5  # whole pixels from black to white, even for the small objects of a crowded scene


def test_colours_stand_out_from_their_grounds_and_from_each_other():
    values = {name: np.array(value, float) for name, value in COLOUR_VALUES.items()}
    for colour, grounds in GROUNDS_OF.items():
        assert len(grounds) >= 2
        for ground in grounds:
            assert np.linalg.norm(values[colour] - GROUND_VALUES[ground]) > 85
    names = list(values)
    assert min(np.linalg.norm(values[a] - values[b]) for i, a in enumerate(names) for b in names[:i]) > 85


def test_the_objects_of_a_scene_are_drawn_on_its_ground():
    for scene in _scenes("train", "mixed", count=40):
        plain = replace(scene, ground=replace(scene.ground, texture="plain"))
        picture = draw_scene(plain, 64).astype(int)
        assert tuple(picture[0, 0]) == GROUND_VALUES[scene.ground.colour]
        for item in scene.items:
            left, top, width, height = (round(number) for number in box_of(item_keypoints(item, 64)))
            patch = picture[top:top + height, left:left + width].reshape(-1, 3)
            near = np.abs(patch - COLOUR_VALUES[item.kind.colour]).sum(1) < 30
            assert near.mean() > 0.1


# ------------------------------------------------------------------------------------------------------- records


def test_the_record_of_a_single_object():
    pictures, records = shapes_arrays(50, size=48, seed=2, split="test")
    assert pictures.shape == (50, 48, 48, 3)
    assert pictures.dtype == np.uint8
    for index, record in enumerate(records):
        scene = sample_scene(2, "test", index)
        item = scene.items[0]
        assert record.attributes == attributes_of(scene)
        assert list(record.attributes) == ["shape", "colour", "size", "texture", "place", "ground", "ground texture"]
        assert record.split == "test"
        assert record.objects[0]["bbox"] == list(record.bbox)
        left, top, width, height = record.bbox
        for x, y, visible in record.keypoints:
            assert left <= x <= left + width + 0.01
            assert top <= y <= top + height + 0.01
            assert visible == 1
        assert record.keypoints[0][:2] == pytest.approx((item.x * 48, item.y * 48), abs=0.01)
        assert left >= 0
        assert left + width <= 48
        assert top >= 0
        assert top + height <= 48


def test_the_record_of_three_objects():
    for record, scene in zip(shapes_arrays(60, seed=4, objects="3")[1], _scenes("train", "3", 60, seed=4), strict=True):
        assert len(record.objects) == 3
        boxes = np.array([entry["bbox"] for entry in record.objects])
        x, y, width, height = record.bbox
        assert (x, y) == pytest.approx(tuple(boxes[:, :2].min(0)))
        assert (x + width, y + height) == pytest.approx(tuple((boxes[:, :2] + boxes[:, 2:]).max(0)), abs=0.02)
        for number, group in enumerate(scene.groups, 1):
            assert record.attributes[f"shape {number}"] == group[0].kind.shape
            assert record.attributes[f"colour {number}"] == group[0].kind.colour
            assert record.attributes[f"count {number}"] == str(len(group))
            members = [entry for entry in record.objects if entry["group"] == number]
            assert [entry["shape"] for entry in members] == [group[0].kind.shape] * len(group)
        assert record.attributes["relation"] == scene.relation


# -------------------------------------------------------------------------------------------------------- folder


def test_the_folder_holds_the_same_pictures_whatever_the_workers(tmp_path):
    told = []
    make_shapes(tmp_path / "one", count=240, size=32, seed=9, objects="mixed", progress=lambda *at: told.append(at))
    make_shapes(tmp_path / "two", count=240, size=32, seed=9, objects="mixed", workers=2)
    assert told == [("Writing one", 240, 240)]
    one = {file.relative_to(tmp_path / "one"): file.read_bytes() for file in (tmp_path / "one").rglob("*.*")}
    two = {file.relative_to(tmp_path / "two"): file.read_bytes() for file in (tmp_path / "two").rglob("*.*")}
    assert one == two
    records = [Record.from_json(json.loads(line)) for line in (tmp_path / "one/metadata.jsonl").open()]
    info = json.loads((tmp_path / "one/dataset.json").read_text())
    assert info["splits"] == {"train": 204, "val": 12, "test": 24}
    assert len(info["keypoint_names"]) == len(records[0].keypoints)
    assert [record.split for record in records] == ["train"] * 204 + ["val"] * 12 + ["test"] * 24
    for split, start in (("train", 0), ("val", 204), ("test", 216)):
        pictures, made = shapes_arrays(5, size=32, seed=9, split=split, objects="mixed")
        for picture, record, stored in zip(pictures, made, records[start:], strict=False):
            assert replace(record, file_name=stored.file_name) == stored
            assert np.array_equal(np.asarray(Image.open(tmp_path / "one" / stored.file_name)), picture)


@pytest.mark.parametrize("objects", ["1", "2", "3", "mixed"])
def test_the_folder_says_which_attributes_the_first_caption_decides(tmp_path, objects):
    make_shapes(tmp_path / "shapes", count=120, size=16, objects=objects)
    decided = json.loads((tmp_path / "shapes/dataset.json").read_text())["caption_attributes"]
    records = [Record.from_json(json.loads(line)) for line in (tmp_path / "shapes/metadata.jsonl").open()]
    known = {name for record in records for name in record.attributes}
    assert set(decided) == known - {"ground", "ground texture"}
    of_caption = {}
    for record in records:
        asked = {name: record.attributes[name] for name in decided if name in record.attributes}
        assert of_caption.setdefault(record.captions[0], asked) == asked


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def stop(what, done, total):
        raise KeyboardInterrupt

    for workers in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            make_shapes(tmp_path / "shapes", count=300, size=16, workers=workers, progress=stop)
        assert list(tmp_path.iterdir()) == []


def test_bad_options_are_refused_before_any_work(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    for options, words in (
        ({"count": 2}, "count must be at least 3"),
        ({"count": 10, "size": 15}, "size must be between 16 and 256"),
        ({"count": 10, "objects": "4"}, "objects must be one of 1, 2, 3, mixed"),
        ({"count": 10, "workers": 0}, "workers must be at least 1"),
    ):
        with pytest.raises(LimnerError, match=words):
            make_shapes(tmp_path / "shapes", **options)
    with pytest.raises(LimnerError, match="is there already"):
        make_shapes(tmp_path / "full", count=10)
    with pytest.raises(LimnerError, match="split must be one of"):
        shapes_arrays(1, split="dev")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
