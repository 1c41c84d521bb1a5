"""From nested plain values, as YAML holds them, to dataclasses: known keys, right types."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from herbzoo.errors import RecipeError


def construct(kind: Any, values: Any, place: str) -> Any:
    """Makes a dataclass of plain values, and of those in it.

    Args:
        kind: the dataclass; one with a true class attribute `bare` may also be given as the bare
            value of its first field.
        values: a mapping of its fields to plain values.
        place: the dotted key that holds them, with a dot at its end, for errors.

    Raises:
        RecipeError: on an unknown key, a missing one, or a value of the wrong type.
    """
    if isinstance(values, str) and getattr(kind, "bare", False):
        return kind(values)
    if not isinstance(values, Mapping):
        raise RecipeError(f"{place.rstrip('.')!r} must hold keys, not {values!r}")
    hints = typing.get_type_hints(kind)
    names = [item.name for item in dataclasses.fields(kind)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"did you mean {place}{near[0]}?" if near else f"there are {', '.join(names)}"
            raise RecipeError(f"a recipe has no key {place}{key}: {hint}")
    given = {key: _convert(hints[key], value, place + key) for key, value in values.items()}
    try:
        return kind(**given)
    except TypeError as error:
        raise RecipeError(f"{place.rstrip('.') or 'the recipe'}: {error}") from error


def _convert(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return construct(kind, value, place + ".")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value in arguments:
            return value
        raise RecipeError(f"{place} must be one of {', '.join(arguments)}, not {value!r}")
    choices = arguments if origin is types.UnionType else (kind,)
    if float in choices and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if str in choices and isinstance(value, Path):
        return str(value)
    for choice in choices:
        plain = typing.get_origin(choice) or choice
        if isinstance(value, plain) and (plain is bool or not isinstance(value, bool)):
            return value
    expected = " or ".join(str(getattr(choice, "__name__", choice)) for choice in choices)
    raise RecipeError(f"{place} must be {expected}, not {value!r}")
