"""What a face is made of: attributes, the drawings behind them, the combinations that are held out, and the draws.

The drawings are those of the style avataaars of DiceBear; only parts that can be told apart at 64 pixels are used.
Attributes say what is drawn and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from limner.randomness import stream

T = TypeVar("T")

HAIR = {
    "short": ("shortFlat", "shortRound", "theCaesar", "theCaesarAndSidePart"),
    "curly": ("curly",),
    "wavy": ("curvy",),
    "straight": ("straight01", "straight02", "straightAndStrand"),
    "bob": ("bob", "miaWallace"),
    "bun": ("bun",),
    "afro": ("fro",),
    "dreadlocks": ("dreads",),
    "spiky": ("dreads02",),
    "shaggy": ("shaggy", "shaggyMullet"),
    "quiff": ("frizzle", "shortWaved"),
    "flowers": ("frida",),
    "sides": ("sides",),
    "bald": (),
}
"""Hair styles: the drawings of each; several are variants that captions do not tell apart."""

HEADWEAR = {
    "hat": ("hat",),
    "beanie": ("winterHat03",),
    "ear flaps": ("winterHat1", "winterHat02"),
    "cat ears": ("winterHat04",),
    "turban": ("turban",),
    "headscarf": ("hijab",),
}
"""What hides the hair; the hat leaves a little of it at the sides, in the colour of facial hair or black."""

GLASSES = {
    "none": (),
    "glasses": ("prescription01", "prescription02"),
    "round glasses": ("round",),
    "sunglasses": ("kurt", "sunglasses", "wayfarers"),
    "eyepatch": ("eyepatch",),
}
HIDE_EYES = ("sunglasses", "eyepatch")

FACIAL_HAIR = {
    "none": (),
    "beard": ("beardLight", "beardMedium"),
    "long beard": ("beardMajestic",),
    "moustache": ("moustacheFancy", "moustacheMagnum"),
}
EYES = {
    "open": ("default",),
    "closed": ("closed", "happy"),
    "wink": ("wink", "winkWacky"),
    "wide": ("surprised",),
    "rolled up": ("eyeRoll",),
    "hearts": ("hearts",),
    "crosses": ("xDizzy",),
}
MOUTH = {
    "smile": ("smile", "default"),
    "frown": ("sad", "disbelief"),
    "open": ("screamOpen", "concerned"),
    "straight": ("serious",),
    "tongue": ("tongue",),
    "teeth": ("grimace",),
}
CLOTHES = {
    "hoodie": ("hoodie",),
    "T-shirt": ("shirtCrewNeck",),
    "V-neck": ("shirtVNeck",),
    "blazer": ("blazerAndShirt", "blazerAndSweater"),
    "jumper": ("collarAndSweater",),
    "dungarees": ("overall",),
}
EYEBROWS = ("default", "defaultNatural", "raisedExcitedNatural")

HAIR_COLOURS = {
    "black": "2c1b18", "brown": "724133", "blond": "eac54f", "red": "e0400c", "grey": "a0a4a8", "pink": "ff7ab8",
    "blue": "4a7de0",
}
CLOTH_COLOURS = {
    "black": "262e33", "white": "ffffff", "red": "e0483f", "blue": "3f7fd8", "green": "3fa05a", "yellow": "f2c230",
    "pink": "ff8fc0", "purple": "8a55c8",
}
SKINS = {"light": "ffdbb4", "medium": "edb98a", "tan": "d08b5b", "brown": "ae5d29", "dark": "614335"}
GROUNDS = {"blue": "b6e3f4", "cream": "ffecc8", "green": "c3e6c9", "lilac": "d5cbf2"}
FRAMES = "262e33"

CAPTION_ATTRIBUTES = ("hair", "hair colour", "headwear", "headwear colour", "glasses", "facial hair",
                      "facial hair colour", "eyes", "mouth", "clothes", "clothes colour")
"""What the first caption of a face decides; skin and ground are left open."""

HELD_OUT = {
    ("hair", "hair colour"): (
        ("short", "pink"), ("curly", "blond"), ("wavy", "red"), ("straight", "blue"), ("bob", "grey"),
        ("bun", "black"), ("afro", "pink"), ("dreadlocks", "blond"), ("spiky", "blue"), ("shaggy", "brown"),
        ("quiff", "grey"), ("flowers", "red"), ("sides", "black")),
    ("headwear", "headwear colour"): (
        ("hat", "green"), ("beanie", "yellow"), ("ear flaps", "blue"), ("cat ears", "black"), ("turban", "pink"),
        ("headscarf", "red")),
    ("clothes", "clothes colour"): (
        ("hoodie", "purple"), ("T-shirt", "red"), ("V-neck", "yellow"), ("blazer", "green"), ("jumper", "black"),
        ("dungarees", "white")),
    ("glasses", "facial hair"): (
        ("glasses", "moustache"), ("round glasses", "long beard"), ("sunglasses", "beard"),
        ("eyepatch", "moustache")),
}
"""Combinations that no face of train or val has; every face of test has one or more."""

_VALUES = {"hair": tuple(HAIR), "hair colour": tuple(HAIR_COLOURS), "headwear": tuple(HEADWEAR),
           "headwear colour": tuple(CLOTH_COLOURS), "glasses": tuple(GLASSES), "facial hair": tuple(FACIAL_HAIR),
           "facial hair colour": tuple(HAIR_COLOURS), "eyes": tuple(EYES), "mouth": tuple(MOUTH),
           "clothes": tuple(CLOTHES), "clothes colour": tuple(CLOTH_COLOURS)}


@dataclass(frozen=True)
class Face:
    """One face: its attributes, and the options with which DiceBear draws it."""

    attributes: dict[str, str]
    """Those of ``CAPTION_ATTRIBUTES`` that it has, "skin" and "ground". Hair that is hidden has no attribute, eyes
    that are hidden neither; facial hair has a colour of its own only where no hair shows."""
    art: dict[str, Any]


def sample_face(seed: int, split: str, index: int) -> Face:
    """Face ``index`` of a split: a pure function of its arguments."""
    rng = stream(seed, f"faces/{split}", index)
    while True:
        attributes = _attributes(rng)
        if is_held_out(attributes) == (split == "test"):
            return Face(attributes, art_of(attributes, rng))


def is_held_out(attributes: dict[str, str]) -> bool:
    """Whether a face has a combination that only the split ``test`` may have."""
    return any((attributes.get(first), attributes.get(second)) in pairs for (first, second), pairs in HELD_OUT.items())


def label_of(attributes: dict[str, str]) -> int:
    """The class of a face: faces whose complete captions are equal share it, others do not."""
    label = 0
    for name in CAPTION_ATTRIBUTES:
        values = _VALUES[name]
        label = label * (len(values) + 1) + (1 + values.index(attributes[name]) if name in attributes else 0)
    return label


def _pick(rng: np.random.Generator, values: Sequence[T] | dict[T, Any]) -> T:
    return list(values)[int(rng.integers(len(values)))]


def _mostly(rng: np.random.Generator, values: dict[str, Any], share: float) -> str:
    """The first value with the given chance, else one of the others."""
    first, *others = values
    return first if rng.random() < share else _pick(rng, others)


def _attributes(rng: np.random.Generator) -> dict[str, str]:
    face: dict[str, str] = {}
    if rng.random() < 0.35:
        face |= {"headwear": _pick(rng, HEADWEAR), "headwear colour": _pick(rng, CLOTH_COLOURS)}
    else:
        face["hair"] = _pick(rng, HAIR)
        if face["hair"] != "bald":
            face["hair colour"] = _pick(rng, HAIR_COLOURS)
    face["glasses"] = _mostly(rng, GLASSES, 0.45)
    # the drawings would lay facial hair over the cloth of a headscarf
    face["facial hair"] = "none" if face.get("headwear") == "headscarf" else _mostly(rng, FACIAL_HAIR, 0.55)
    if face["facial hair"] != "none" and "hair colour" not in face:
        face["facial hair colour"] = _pick(rng, HAIR_COLOURS)
    if face["glasses"] not in HIDE_EYES:
        face["eyes"] = _mostly(rng, EYES, 0.4)
    face |= {"mouth": _mostly(rng, MOUTH, 0.35), "clothes": _pick(rng, CLOTHES),
             "clothes colour": _pick(rng, CLOTH_COLOURS)}
    hair = face.get("hair colour", face.get("facial hair colour"))
    skins = [skin for skin in SKINS if (hair, skin) != ("brown", "dark")]  # nearly one colour
    return face | {"skin": _pick(rng, skins), "ground": _pick(rng, GROUNDS)}


def art_of(attributes: dict[str, str], rng: np.random.Generator) -> dict[str, Any]:
    """The options of DiceBear for a face; the head is brought closer, so that its parts show at 64 pixels."""
    hair = attributes.get("hair colour", attributes.get("facial hair colour", "black"))
    tops = HEADWEAR[attributes["headwear"]] if "headwear" in attributes else HAIR[attributes["hair"]]
    drawings = {"top": tops, "accessories": GLASSES[attributes["glasses"]],
                "facialHair": FACIAL_HAIR[attributes["facial hair"]]}
    art: dict[str, Any] = {"seed": "limner", "scale": 106, "translateY": 3}
    for name, choices in drawings.items():
        art[f"{name}Probability"] = 100 if choices else 0
        if choices:
            art[name] = [_pick(rng, choices)]
    art |= {"eyes": [_pick(rng, EYES[attributes.get("eyes", "open")])], "eyebrows": [_pick(rng, EYEBROWS)],
            "mouth": [_pick(rng, MOUTH[attributes["mouth"]])],
            "clothing": [_pick(rng, CLOTHES[attributes["clothes"]])]}
    colours = {"hair": HAIR_COLOURS[hair], "facialHair": HAIR_COLOURS[hair], "accessories": FRAMES,
               "hat": CLOTH_COLOURS[attributes.get("headwear colour", "black")],
               "clothes": CLOTH_COLOURS[attributes["clothes colour"]], "skin": SKINS[attributes["skin"]],
               "background": GROUNDS[attributes["ground"]]}
    return art | {f"{name}Color": [value] for name, value in colours.items()}
