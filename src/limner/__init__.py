"""Limner paints images from words.

    import limner
    painter = limner.load("faces-attngan")
    painting = painter("a person with a pink afro, glasses and a smile, in a yellow hoodie", seed=7)
    painting.image.save("face.png")

Importing this package costs nothing: torch is loaded with the first painter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limner.painting.painter import Painter, load
    from limner.painting.painting import Painting

__version__ = "0.1.0"
__all__ = ["Painter", "Painting", "__version__", "load"]

_HOMES = {
    "Painter": "limner.painting.painter",
    "Painting": "limner.painting.painting",
    "load": "limner.painting.painter",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
