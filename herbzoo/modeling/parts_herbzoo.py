"""From a part's name to its class: a copied sibling, else an entry point, imported when asked for.

This file imports neither torch nor herbzoo, so that it can travel to the Hub beside the model.
"""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .copied_herbzoo import COPIED


class PartError(ImportError):
    """A backbone or head cannot be had; the message says why."""


class UnknownPart(PartError):
    """No installed distribution offers a part of this name."""


class ClashingPart(PartError):
    """More than one installed distribution offers a part of this name."""


class BrokenPart(PartError):
    """The part's own module does not import, or is not what it says."""


def offered(kind: str) -> dict[str, list[EntryPoint]]:
    """Returns the entry points of a kind by name, without importing any.

    Args:
        kind: `backbones` or `heads`.
    """
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=f"herbzoo.{kind}"), key=lambda point: point.name):
        # The same distribution can stand on sys.path twice (an editable install and its source).
        same = found.setdefault(point.name, [])
        if (origin(point), point.value) not in [(origin(other), other.value) for other in same]:
            same.append(point)
    return found


def origin(point: EntryPoint) -> str:
    """Returns the name of the distribution that offers an entry point."""
    return point.dist.name if point.dist else "an unnamed distribution"


def resolve(kind: str, name: str) -> type:
    """Returns the class behind a name; of `family:variant`, the family's.

    One that was copied beside this file is what the weights were saved with, so it goes before
    anything that is installed.

    Raises:
        UnknownPart: no distribution offers it.
        ClashingPart: several do.
        BrokenPart: importing it failed.
    """
    family = name.partition(":")[0]
    copied = COPIED.get(kind, {}).get(family)
    if copied is not None:
        return copied
    points = offered(kind).get(family, [])
    if not points:
        raise UnknownPart(f"no installed distribution offers {name!r} among its {kind}")
    if len(points) > 1:
        owners = " and ".join(sorted({origin(point) for point in points}))
        raise ClashingPart(
            f"{family!r} in {kind} is offered by {owners}: uninstall one, or rename its entry point"
        )
    try:
        part = points[0].load()
    except Exception as error:  # a stranger's module may raise anything at import
        raise BrokenPart(
            f"{name!r} of {kind} comes from {origin(points[0])} and does not import: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(part, type):
        raise BrokenPart(
            f"{name!r} of {kind} comes from {origin(points[0])}, but {points[0].value} is no class"
        )
    return part


def default_options(kind: str, name: str) -> dict[str, Any]:
    """Returns the options a part accepts with their defaults, read off its constructor.

    `family:variant` binds the variant to the constructor's first parameter, which is therefore
    not among them. A head's first two parameters, `in_features` and `num_classes`, are not options.
    """
    parameters = list(inspect.signature(resolve(kind, name)).parameters.values())
    given = 2 if kind == "heads" else int(":" in name)
    return {
        parameter.name: parameter.default
        for parameter in parameters[given:]
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def create(kind: str, spec: dict[str, Any], *sizes: int) -> Any:
    """Constructs a part from its `{"name", "options"}`.

    Args:
        kind: `backbones` or `heads`.
        spec: name and options, as config.json has them.
        sizes: `in_features, num_classes` for a head, nothing for a backbone.
    """
    variant = [spec["name"].partition(":")[2]] if ":" in spec["name"] else []
    return resolve(kind, spec["name"])(*variant, *sizes, **spec["options"])
