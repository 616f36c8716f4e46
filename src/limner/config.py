"""Configurations are frozen dataclasses; this module carries them to JSON and back.

``from_json`` is strict: an unknown field, a missing one or a value of the wrong type is refused with its path, so a
typing error in a configuration never goes unnoticed. Ranges are checked by each class in ``__post_init__``.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from limner.errors import LimnerError

T = TypeVar("T")


def to_json(config: Any) -> dict[str, Any]:
    """The configuration as plain dicts, lists, numbers, strings and None."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def from_json(kind: type[T], value: Any, *, where: str = "config") -> T:
    """Builds a configuration of the given class. Raises LimnerError that names the field."""
    if not isinstance(value, dict):
        raise LimnerError(f"{where} must be an object with the fields of {kind.__name__}, got {value!r}.")
    hints = typing.get_type_hints(kind)
    names = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise LimnerError(f"{where} has no field {unknown[0]!r}; its fields are {', '.join(names)}.")
    required = [
        name for name, field in names.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in value]
    if missing:
        raise LimnerError(f"{where} lacks the field {missing[0]!r}.")
    built = {name: _convert(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    return kind(**built)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), value, where=where)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(hint, value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise LimnerError(f"{where} must be one of {', '.join(map(str, typing.get_args(hint)))}, got {value!r}.")
        return value
    if origin is tuple:
        return _convert_tuple(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is bool or not isinstance(value, bool):
        if hint is type(None) and value is None:
            return None
        if isinstance(hint, type) and isinstance(value, hint):
            return value
    raise LimnerError(f"{where} must be {getattr(hint, '__name__', hint)}, got {value!r}.")


def _convert_union(hint: Any, value: Any, where: str) -> Any:
    failures: list[LimnerError] = []
    options = typing.get_args(hint)
    if isinstance(value, dict):  # of several classes the one that knows the most of these fields is meant
        classes = [option for option in options if dataclasses.is_dataclass(option)]
        options = (max(classes, key=lambda option: len(set(value) & _names(option))),) if classes else options
    for option in options:
        try:
            return _convert(option, value, where)
        except LimnerError as failure:
            failures.append(failure)
    raise failures[0]


def _names(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def _convert_tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise LimnerError(f"{where} must be a list, got {value!r}.")
    kinds = typing.get_args(hint)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_convert(kinds[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(kinds) != len(value):
        raise LimnerError(f"{where} must have {len(kinds)} entries, got {len(value)}.")
    return tuple(_convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))
