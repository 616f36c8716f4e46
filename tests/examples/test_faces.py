from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from examples.faces import captions, parts
from examples.faces.__main__ import faces_of, write_faces

from limner.data.folder import read_folder
from limner.data.pictures import open_corpus
from limner.evaluation.attributes import find_attributes
from limner.randomness import stream

_FACES = {split: [parts.sample_face(0, split, index) for index in range(500)] for split in ("train", "val", "test")}


def test_a_face_is_a_function_of_its_address() -> None:
    assert parts.sample_face(3, "train", 7) == parts.sample_face(3, "train", 7)
    assert parts.sample_face(3, "train", 7) != parts.sample_face(4, "train", 7)
    assert _FACES["train"][:20] != _FACES["val"][:20]


def test_only_test_has_held_out_combinations() -> None:
    for split, faces in _FACES.items():
        assert {parts.is_held_out(face.attributes) for face in faces} == {split == "test"}
    for names, pairs in parts.HELD_OUT.items():
        seen = Counter(tuple(face.attributes.get(name) for name in names) for face in _FACES["test"])
        assert all(seen[pair] for pair in pairs), names
        values = [parts._VALUES[name] for name in names]
        assert all(first in values[0] and second in values[1] for first, second in pairs)


def test_every_value_occurs_in_training() -> None:
    for name, values in parts._VALUES.items():
        assert {face.attributes[name] for face in _FACES["train"] if name in face.attributes} == set(values)


def test_attributes_say_what_shows() -> None:
    for face in _FACES["train"]:
        has = face.attributes
        assert ("headwear" in has) == ("headwear colour" in has) == ("hair" not in has)
        assert ("hair colour" in has) == (has.get("hair", "bald") != "bald")
        assert ("eyes" in has) == (has["glasses"] not in parts.HIDE_EYES)
        assert ("facial hair colour" in has) == (has["facial hair"] != "none" and "hair colour" not in has)
        assert (has.get("hair colour"), has["skin"]) != ("brown", "dark")
        assert has.get("headwear") != "headscarf" or has["facial hair"] == "none"


def test_the_drawing_is_that_of_the_attributes() -> None:
    for face in _FACES["train"]:
        has, art = face.attributes, face.art
        assert art["topProbability"] == (0 if has.get("hair") == "bald" else 100)
        if "headwear" in has:
            assert art["top"][0] in parts.HEADWEAR[has["headwear"]]
            assert art["hatColor"] == [parts.CLOTH_COLOURS[has["headwear colour"]]]
        elif has["hair"] != "bald":
            assert art["top"][0] in parts.HAIR[has["hair"]]
            assert art["hairColor"] == [parts.HAIR_COLOURS[has["hair colour"]]]
        assert art["accessoriesProbability"] == 100 * (has["glasses"] != "none")
        assert art["facialHairProbability"] == 100 * (has["facial hair"] != "none")
        assert art["eyes"][0] in parts.EYES[has.get("eyes", "open")]
        assert art["clothing"][0] in parts.CLOTHES[has["clothes"]]
        assert art["clothesColor"] == [parts.CLOTH_COLOURS[has["clothes colour"]]]


def test_faces_of_one_label_share_their_complete_caption_and_others_do_not() -> None:
    faces = [face.attributes for split in _FACES.values() for face in split]
    by_label = {parts.label_of(face): captions.complete_caption(face) for face in faces}
    assert len(by_label) == len(set(by_label.values()))
    assert all(by_label[parts.label_of(face)] == captions.complete_caption(face) for face in faces)
    decided = {tuple(face.get(name) for name in parts.CAPTION_ATTRIBUTES) for face in faces}
    assert len(decided) == len(by_label)


_BEARDED = {"headwear": "beanie", "headwear colour": "red", "glasses": "round glasses", "facial hair": "beard",
            "facial hair colour": "blond", "eyes": "closed", "mouth": "smile", "clothes": "dungarees",
            "clothes colour": "blue", "skin": "tan", "ground": "cream"}
_BALD = {"hair": "bald", "glasses": "none", "facial hair": "none", "eyes": "open", "mouth": "tongue",
         "clothes": "T-shirt", "clothes colour": "grey", "skin": "light", "ground": "blue"}
_CURLY = {"hair": "curly", "hair colour": "grey", "glasses": "sunglasses", "facial hair": "moustache",
          "mouth": "straight", "clothes": "blazer", "clothes colour": "black", "skin": "dark", "ground": "green"}


def test_complete_captions() -> None:
    assert captions.complete_caption(_BEARDED) == (
        "a person with a red beanie, round glasses, a blond beard, closed eyes and a smile, in blue dungarees")
    assert captions.complete_caption(_BALD) == "a person with a bald head and the tongue out, in a grey T-shirt"
    assert captions.complete_caption(_CURLY) == (
        "a person with curly grey hair, sunglasses, a moustache and a straight mouth, in a black blazer")


@pytest.mark.parametrize("attributes", [_BEARDED, _BALD, _CURLY])
def test_captions_speak_of_nothing_else(attributes: dict[str, str]) -> None:
    tables = {"hair": captions.HAIR_WORDS, "headwear": captions.HEADWEAR_WORDS, "glasses": captions.GLASSES_WORDS,
              "facial hair": captions.FACIAL_HAIR_WORDS, "eyes": captions.EYES_WORDS, "mouth": captions.MOUTH_WORDS,
              "clothes": captions.CLOTHES_WORDS}
    phrases = [phrase for name, table in tables.items() for phrase in table.get(attributes.get(name, ""), ())]
    colours = [word for name, value in attributes.items() if name.endswith("colour")
               for word in captions.COLOUR_WORDS.get(value, (value,))]
    adjectives = [captions.ADJECTIVES[value] for value in attributes.values() if value in captions.ADJECTIVES]
    frame = ("a an person someone somebody portrait drawing cartoon of with and in wearing dressed on background "
             + captions.GROUND_WORDS[attributes["ground"]])
    allowed = set(re.findall(r"[\w-]+", " ".join([*phrases, *colours, *adjectives, frame])))
    for index in range(200):
        written = captions.captions_of(attributes, stream(0, "words", index))
        assert len(written) == captions.CAPTIONS_PER_FACE
        for caption in written:
            assert set(re.findall(r"[\w-]+", caption)) <= allowed, caption
            assert not re.search(r"\s\s|\s,|,,|\{|with,|with$|^ | $", caption), caption
            assert "a a" not in caption.split(",")[0][:4]


def test_captions_are_varied_and_complete_where_they_say_so() -> None:
    written = [captions.captions_of(_BEARDED, stream(0, "words", index)) for index in range(200)]
    assert len({caption for group in written for caption in group}) > 500
    for group in written:
        for caption in group[1:3]:
            assert all(any(word in caption for word in words) for words in (
                ("hat", "beanie"), ("round",), ("beard",), ("eyes",), ("smil",), ("dungarees", "overalls"), ("blue",)))
    assert len({len(group[4].split()) for group in written}) > 3


def test_the_folder_is_in_the_house_format(tmp_path: Path) -> None:
    counts = {"train": 40, "val": 4, "test": 8}
    colours = (np.full((64, 64, 3), [int(face.art["backgroundColor"][0][place:place + 2], 16) for place in (0, 2, 4)],
                       np.uint8) for face in faces_of(counts, 5))
    out = write_faces(tmp_path / "faces", colours, counts=counts, size=64, seed=5, made_with={"a package": "1.0"})
    folder = read_folder(out, strict=True)
    assert Counter(record.split for record in folder.records) == counts
    assert folder.info["splits"] == counts
    assert json.loads((out / "dataset.json").read_text())["held_out"]["glasses, facial hair"][0] == [
        "eyepatch", "moustache"]
    card = (out / "README.md").read_text()
    assert "Pablo Stanley" in card
    assert "52 drawn faces" in card
    corpus = open_corpus(out)
    pixels = corpus.split("test").pixels(64)
    for row, record in enumerate(corpus.split("test").records):
        face = parts.sample_face(5, "test", row)
        assert record.attributes == face.attributes
        assert bytes(pixels[row, 0, 0]).hex() == parts.GROUNDS[face.attributes["ground"]]
    attributes = find_attributes(corpus)
    decided = attributes.decided(corpus.split("train").records, folder.info)
    undecided = {name for name, column in zip(attributes.names, decided.T, strict=True) if not column.any()}
    assert undecided == {"skin", "ground"}
