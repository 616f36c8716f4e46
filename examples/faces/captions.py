"""The grammar that puts faces into words.

Words say what is drawn. What a complete caption does not mention is not there: no glasses, no facial hair; and the
eyes are open.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CAPTIONS_PER_FACE = 5

HAIR_WORDS = {
    "short": ("short {} hair", "{} hair cut short", "a short {} haircut"),
    "curly": ("curly {} hair", "{} curls", "{} hair with big curls"),
    "wavy": ("long wavy {} hair", "long {} waves", "wavy {} hair"),
    "straight": ("long straight {} hair", "long smooth {} hair", "straight {} hair"),
    "bob": ("a {} bob", "{} hair cut in a bob", "chin-length {} hair"),
    "bun": ("{} hair in a bun", "a {} bun", "{} hair tied up in a bun"),
    "afro": ("a {} afro", "a big round {} afro", "{} hair in an afro"),
    "dreadlocks": ("long {} dreadlocks", "{} dreadlocks", "{} hair in dreadlocks"),
    "spiky": ("spiky {} hair", "{} spikes of hair", "{} hair that stands on end"),
    "shaggy": ("shaggy {} hair", "messy {} hair", "tousled {} hair"),
    "quiff": ("a {} quiff", "{} hair in a quiff", "{} hair brushed up"),
    "flowers": ("{} hair with flowers in it", "flowers in {} hair", "{} hair and a crown of flowers"),
    "sides": ("a bald top with {} hair at the sides", "{} hair at the sides only",
              "a fringe of {} hair around a bald top"),
    "bald": ("a bald head", "no hair"),
}
HEADWEAR_WORDS = {
    "hat": ("a wide-brimmed {} hat", "a {} hat with a wide brim", "a big {} hat"),
    "beanie": ("a {} beanie", "a {} woolly hat", "a knitted {} hat"),
    "ear flaps": ("a {} hat with ear flaps", "a {} winter hat with ear flaps"),
    "cat ears": ("a {} hat with cat ears", "a {} cat-ear hat"),
    "turban": ("a {} turban",),
    "headscarf": ("a {} headscarf",),
}
GLASSES_WORDS = {
    "glasses": ("glasses", "spectacles", "black-rimmed glasses"),
    "round glasses": ("round glasses", "round spectacles", "round-rimmed glasses"),
    "sunglasses": ("sunglasses", "dark glasses", "shades"),
    "eyepatch": ("an eyepatch", "a patch over one eye"),
}
FACIAL_HAIR_WORDS = {
    "beard": ("a {}beard", "a trimmed {}beard"),
    "long beard": ("a long {}beard", "a big bushy {}beard", "a full {}beard"),
    "moustache": ("a {}moustache", "a {}mustache"),
}
EYES_WORDS = {
    "closed": ("closed eyes", "eyes shut", "shut eyes"),
    "wink": ("a wink", "one eye closed", "a winking eye"),
    "wide": ("wide eyes", "wide open eyes", "big round eyes"),
    "rolled up": ("rolled eyes", "eyes that look up", "eyes rolled upwards"),
    "hearts": ("heart eyes", "hearts for eyes", "heart-shaped eyes"),
    "crosses": ("crossed-out eyes", "crosses for eyes", "x-shaped eyes"),
}
MOUTH_WORDS = {
    "smile": ("a smile", "a smiling mouth", "a happy smile"),
    "frown": ("a frown", "the mouth turned down", "a sad mouth"),
    "open": ("an open mouth", "a wide open mouth", "a gaping mouth"),
    "straight": ("a straight mouth", "a small straight mouth", "the mouth in a straight line"),
    "tongue": ("the tongue out", "a tongue sticking out"),
    "teeth": ("clenched teeth", "gritted teeth", "a row of bared teeth"),
}
CLOTHES_WORDS = {
    "hoodie": ("a {} hoodie", "a {} hooded top"),
    "T-shirt": ("a {} T-shirt", "a plain {} T-shirt"),
    "V-neck": ("a {} V-neck", "a {} V-neck shirt"),
    "blazer": ("a {} blazer", "a {} jacket"),
    "jumper": ("a {} jumper with a collar", "a {} sweater with a white collar"),
    "dungarees": ("{} dungarees", "{} overalls"),
}
COLOUR_WORDS = {"blond": ("blond", "golden"), "grey": ("grey", "gray"), "red": ("red",), "purple": ("purple", "violet")}
GROUND_WORDS = {"blue": "light blue", "cream": "cream", "green": "light green", "lilac": "lilac"}
ADJECTIVES = {"smile": "smiling", "frown": "frowning", "bald": "bald"}
"""Words of mouth and hair that may also stand before the person."""

_FRAMES = ("{}", "a portrait of {}", "a drawing of {}", "a cartoon of {}")
_PEOPLE = ("a person", "someone", "somebody")


def captions_of(attributes: dict[str, str], rng: np.random.Generator) -> tuple[str, ...]:
    """``CAPTIONS_PER_FACE`` captions of a face.

    The first is ``complete_caption``; then come a complete one with synonyms that also names the ground, a complete
    one in another order, one that leaves out about half of the details, and a short one.
    """
    ground = f"on a {GROUND_WORDS[attributes['ground']]} background"
    return (
        complete_caption(attributes),
        f"{_statement(attributes, rng)} {ground}",
        _pick(rng, _FRAMES).format(_statement(attributes, rng, shuffled=True)),
        _statement(attributes, rng, leave_out=0.5, shuffled=True),
        _statement(attributes, rng, leave_out=0.8),
    )


def complete_caption(attributes: dict[str, str]) -> str:
    """The caption that names everything a caption decides, in the first words; a function of what it names."""
    details = _details(attributes, None)
    return f"a person with {_listed(list(details.values()))}, in {_clothes(attributes, None)}"


def _statement(attributes: dict[str, str], rng: np.random.Generator, *, leave_out: float = 0.0,
               shuffled: bool = False) -> str:
    details = _details(attributes, rng)
    kept = {name: words for name, words in details.items() if rng.random() >= leave_out}
    clothes = _clothes(attributes, rng) if rng.random() >= leave_out or not kept else None
    person = _pick(rng, _PEOPLE)
    before = next((name for name in kept if attributes[name] in ADJECTIVES and rng.random() < 0.4), None)
    if before is not None:
        person = f"a {ADJECTIVES[attributes[before]]} person"
        del kept[before]
    items = list(kept.values())
    if shuffled:
        items = [items[place] for place in rng.permutation(len(items))]
    held = f"with {_listed(items)}" if items else ""
    if clothes is None:
        return f"{person} {held}".rstrip()
    dressed = f"{_pick(rng, ('in', 'wearing', 'dressed in'))} {clothes}"
    if not held:
        return f"{person} {dressed}"
    return f"{person} {dressed}, {held}" if shuffled and rng.random() < 0.5 else f"{person} {held}, {dressed}"


def _details(attributes: dict[str, str], rng: np.random.Generator | None) -> dict[str, str]:
    """The phrases of a face but for its clothes, by attribute, without what is not there."""
    details = {}
    if "headwear" in attributes:
        colour = _colour(attributes["headwear colour"], rng)
        details["headwear"] = _pick(rng, HEADWEAR_WORDS[attributes["headwear"]]).format(colour)
    else:
        colour = _colour(attributes.get("hair colour", ""), rng)
        details["hair"] = _pick(rng, HAIR_WORDS[attributes["hair"]]).format(colour)
    if attributes["glasses"] != "none":
        details["glasses"] = _pick(rng, GLASSES_WORDS[attributes["glasses"]])
    if attributes["facial hair"] != "none":
        own = attributes.get("facial hair colour")
        colour = f"{_colour(own, rng)} " if own else ""
        details["facial hair"] = _pick(rng, FACIAL_HAIR_WORDS[attributes["facial hair"]]).format(colour)
    if attributes.get("eyes", "open") != "open":
        details["eyes"] = _pick(rng, EYES_WORDS[attributes["eyes"]])
    details["mouth"] = _pick(rng, MOUTH_WORDS[attributes["mouth"]])
    return details


def _clothes(attributes: dict[str, str], rng: np.random.Generator | None) -> str:
    colour = _colour(attributes["clothes colour"], rng)
    return _pick(rng, CLOTHES_WORDS[attributes["clothes"]]).format(colour)


def _colour(colour: str, rng: np.random.Generator | None) -> str:
    return _pick(rng, COLOUR_WORDS.get(colour, (colour,)))


def _listed(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _pick(rng: np.random.Generator | None, options: Sequence[str]) -> str:
    """One of the options; the first without a generator."""
    return options[0] if rng is None else options[int(rng.integers(len(options)))]
