"""The backbones and heads that are installed, and errors that teach when one is not.

Plugins are plain entry points in the groups `herbzoo.backbones` and `herbzoo.heads`. Finding their
names imports none of them; loading one imports that one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint

from herbzoo.errors import PluginError
from herbzoo.interfaces import KINDS
from herbzoo.modeling import parts_herbzoo as parts

HEAD_SIZES = (512, 1000)
"""Features and classes at which `describe` counts a head's parameters."""


@dataclass(frozen=True)
class PartInfo:
    """What `herbzoo list` says of a backbone or head."""

    name: str
    kind: str
    distribution: str
    version: str
    parameters: int | None
    """Counted on the meta device, a head's at `HEAD_SIZES`; None for a family without its variant
    and for a part with options that have no default."""
    pretrained: str
    """Which pretrained weights there are and where they come from; '' for none."""
    summary: str
    options: str
    """What `--set head.NAME=VALUE` can change, with the defaults: `scale=30.0, margin=0.3`."""


def names(kind: str, pattern: str = "*") -> list[str]:
    """Returns the sorted names of the installed parts of a kind that match a glob.

    Args:
        kind: `backbones` or `heads`.
        pattern: as in a shell: `swin*`.
    """
    return [name for name in _offered(kind) if fnmatchcase(name, pattern)]


def nearest(kind: str, name: str) -> list[str]:
    """Returns up to three names of a kind that somebody may have meant, the likeliest first."""
    return get_close_matches(name.partition(":")[0].lower(), list(_offered(kind)), cutoff=0.6)


def load(kind: str, name: str) -> type:
    """Imports the class behind a name.

    Args:
        kind: `backbones` or `heads`.
        name: a registered name, or `family:variant` for a family of backbones.

    Raises:
        PluginError: no installed distribution offers the name, several do, it does not import, or
            the variant is missing or not wanted.
    """
    part = _resolve(kind, name)
    family, _, variant = name.partition(":")
    if variant and not is_family(kind, part):
        raise PluginError(f"{family!r} takes no variant: ask for {family!r}, not {name!r}")
    if not variant and is_family(kind, part):
        word = next(iter(inspect.signature(part).parameters)).upper()
        raise PluginError(f"{family!r} is a family of {kind}: say which one, as {family}:{word}")
    return part


def is_family(kind: str, part: type) -> bool:
    """Tells whether a class stands for many backbones: its first parameter must be given."""
    if kind != "backbones":
        return False
    parameters = list(inspect.signature(part).parameters.values())
    return bool(parameters) and _is_required(parameters[0])


def distribution(kind: str, name: str) -> tuple[str, str]:
    """Returns the name and version of the distribution that offers a part, importing nothing.

    Raises:
        PluginError: no installed distribution offers the name, or several do.
    """
    points = _offered(kind).get(name.partition(":")[0], [])
    if len(points) != 1:
        _resolve(kind, name)  # raises the error that fits
    dist = points[0].dist
    return (dist.name, dist.version) if dist else (parts.origin(points[0]), "")


def describe(kind: str, name: str) -> PartInfo:
    """Imports a part, constructs it on the meta device, and returns the facts about it.

    Raises:
        PluginError: as `load` does, or the part does not construct.
    """
    part = _resolve(kind, name)
    owner, version = distribution(kind, name)
    return PartInfo(
        name=name,
        kind=kind,
        distribution=owner,
        version=version,
        parameters=_count_parameters(kind, name, part, owner),
        pretrained=str(getattr(part, "pretrained", "")),
        summary=summary(part),
        options=_options(kind, name),
    )


def _options(kind: str, name: str) -> str:
    if kind == "backbones" and is_family(kind, parts.resolve(kind, name)) and ":" not in name:
        return ""  # its first parameter is the variant
    defaults = parts.default_options(kind, name)
    required = inspect.Parameter.empty
    return ", ".join(
        option if default is required else f"{option}={default!r}"
        for option, default in defaults.items()
    )


def pretrained(kind: str, name: str) -> str:
    """Returns which pretrained weights a part has, as its class says; '' for none or unknown.

    Unlike `load` it raises for no plugin, so that one that is broken does not spoil a search.
    """
    try:
        return str(getattr(parts.resolve(kind, name), "pretrained", ""))
    except parts.PartError:
        return ""


def summary(part: type) -> str:
    """Returns the first line of a class's own docstring, or ''."""
    lines = inspect.cleandoc(part.__dict__.get("__doc__") or "").splitlines()
    return lines[0] if lines else ""


def _offered(kind: str) -> dict[str, list[EntryPoint]]:
    if kind not in KINDS:
        raise PluginError(f"there are {' and '.join(KINDS)}, but no {kind!r}")
    return parts.offered(kind)


def _resolve(kind: str, name: str) -> type:
    offered = _offered(kind)
    try:
        return parts.resolve(kind, name)
    except parts.UnknownPart as error:
        raise PluginError(_teach(kind, name, list(offered))) from error
    except parts.PartError as error:
        raise PluginError(str(error)) from error


def _teach(kind: str, name: str, known: list[str]) -> str:
    """Words the error for an unknown name: what was asked, what is near, how to add one."""
    asked = f"there is no {kind.removesuffix('s')} {name!r}"
    if not known:
        return f"{asked}, nor any other: install herbzoo itself, or a distribution with {kind}"
    if near := nearest(kind, name):
        return f"{asked}; did you mean {_either(near)}? All {len(known)}: `herbzoo list {kind}`"
    families = [f"'{family}:{name}'" for family in known if _offers_family(kind, family)]
    tried = f"try {_either(families, quote=False)}, " if families else ""
    return (
        f"{asked}: {tried}take one of the {len(known)} that `herbzoo list {kind}` shows, "
        f"or pip install the distribution that has it"
    )


def _either(words: Iterable[str], quote: bool = True) -> str:
    *rest, last = [repr(word) if quote else word for word in words]
    return f"{', '.join(rest)} or {last}" if rest else last


def _offers_family(kind: str, name: str) -> bool:
    try:
        return is_family(kind, parts.resolve(kind, name))
    except parts.PartError:  # broken or clashing: no help for somebody who asked for another name
        return False


def _is_required(parameter: inspect.Parameter) -> bool:
    variable = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in variable


def _count_parameters(kind: str, name: str, part: type, owner: str) -> int | None:
    import torch

    sizes = HEAD_SIZES if kind == "heads" else ()
    variant = [name.partition(":")[2]] if ":" in name else []
    given = len(sizes) + len(variant)
    if any(map(_is_required, list(inspect.signature(part).parameters.values())[given:])):
        return None
    try:
        with torch.device("meta"):
            module = part(*variant, *sizes)
        return sum(parameter.numel() for parameter in module.parameters())
    except Exception as error:  # a stranger's constructor may raise anything
        raise PluginError(
            f"{name!r} of {kind} comes from {owner} and does not construct: "
            f"{type(error).__name__}: {error}"
        ) from error
