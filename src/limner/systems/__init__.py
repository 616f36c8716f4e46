"""The systems: an explicit table. Nothing registers itself by being imported; looking a system up needs no torch."""

from __future__ import annotations

from importlib import import_module

from limner.errors import LimnerError
from limner.systems.protocol import System

_MODULES = {
    "aligndraw": "limner.systems.aligndraw",
    "attngan": "limner.systems.attngan",
    "gan-cls": "limner.systems.gan_cls",
    "stackgan": "limner.systems.stackgan",
}


def system_names() -> tuple[str, ...]:
    return tuple(_MODULES)


def get_system(name: str) -> System:
    """The system of that name. Raises LimnerError that lists the names."""
    if name not in _MODULES:
        raise LimnerError(f"there is no system {name!r}; the systems are {', '.join(_MODULES)}.")
    return import_module(_MODULES[name]).SYSTEM


def presets() -> dict[str, System]:
    """Every preset name and the system it belongs to."""
    return {preset: system for system in map(get_system, _MODULES) for preset in system.presets}


def find_preset(name: str) -> tuple[System, str]:
    """A preset by its name, or the default preset of the system of that name. Raises LimnerError."""
    if name in _MODULES:
        system = get_system(name)
        return system, next(iter(system.presets))
    known = presets()
    if name not in known:
        raise LimnerError(f"there is no system or preset {name!r}. Systems: {', '.join(_MODULES)}. "
                          f"Presets: {', '.join(known)}.")
    return known[name], name
