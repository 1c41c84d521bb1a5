"""The code of a backbone or head as files that can be laid beside the weights, if that can be done.

transformers loads code from a flat folder, in which modules import each other relatively. A part
fits if its module, and all it imports relatively, lie in one folder and import nothing of herbzoo
or of another plugin.
"""

from __future__ import annotations

import ast
import inspect
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType

from herbzoo import registry
from herbzoo.interfaces import KINDS
from herbzoo.modeling import parts_herbzoo as parts


@dataclass(frozen=True)
class Origin:
    """What a copied file says of where it comes from."""

    distribution: str
    version: str
    licence: str
    """As the distribution's metadata state it, a name or SPDX expression; '' if they do not."""

    @classmethod
    def of(cls, distribution: Distribution) -> Origin:
        """Reads it off an installed distribution."""
        return cls(_plain(distribution.name), _plain(distribution.version), _licence(distribution))


@dataclass
class Sources:
    """Modules that import each other relatively, in one folder."""

    files: dict[str, Path] = field(default_factory=dict)
    """By the name under which they import each other."""
    obstacles: list[str] = field(default_factory=list)
    """Why they cannot be laid flat, a line each; empty if they can."""


@dataclass(frozen=True)
class PartCode:
    """The code of one part."""

    kind: str
    """`backbones` or `heads`."""
    name: str
    """Registered; of `family:variant` the family."""
    part: type
    origin: Origin
    module: str
    """The file that has the class, without `.py`."""
    sources: Sources

    @classmethod
    def find(cls, kind: str, name: str) -> PartCode:
        """Finds the code of an installed part.

        Raises:
            PluginError: if it cannot be had.
        """
        part = registry.load(kind, name)
        family = name.partition(":")[0]
        (point, *_) = parts.offered(kind)[family]
        origin = Origin.of(point.dist) if point.dist else Origin(parts.origin(point), "", "")
        module = sys.modules[part.__module__]
        path = _file_of(module)
        if path is None or getattr(module, part.__name__, None) is not part:
            lost = f"{part.__module__} is no file of Python that has {part.__qualname__}"
            return cls(kind, family, part, origin, "", Sources(obstacles=[lost]))
        own = path.parent.name if path.stem == "__init__" else path.stem
        return cls(kind, family, part, origin, own, collect(own, path, _foreign(point)))


def collect(name: str, start: Path, foreign: frozenset[str] = frozenset()) -> Sources:
    """Gathers a module and all that it imports relatively.

    Args:
        name: of the module, among the others.
        start: its file.
        foreign: top-level modules that are not to be imported.
    """
    found = Sources()
    waiting = [(name, start)]
    while waiting:
        name, path = waiting.pop()
        if name in found.files:
            continue
        found.files[name] = path
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Name) and node.id == "__file__":
                found.obstacles.append(f"{path.name}, line {node.lineno}, looks beside itself")
            for module in _imported(node):
                top = module.split(".")[0]
                sibling = path.parent / f"{module[1:]}.py"
                if not top and sibling.is_file() and module.count(".") == 1:
                    waiting.append((module[1:], sibling))
                elif not top or top in foreign:
                    line = getattr(node, "lineno", 0)
                    found.obstacles.append(f"{path.name}, line {line}, imports {module}")
    return found


def read(path: Path) -> str:
    """Returns the text of a Python file, whatever its encoding."""
    with tokenize.open(path) as file:
        return file.read()


def _imported(node: ast.AST) -> Iterator[str]:
    """Yields the modules that a statement imports; relative ones begin with their dots."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is None:
        yield from ("." * node.level + alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield "." * node.level + str(node.module)


def _file_of(module: ModuleType) -> Path | None:
    try:
        found = inspect.getsourcefile(module)
    except TypeError:  # a built-in module
        return None
    return Path(found) if found and Path(found).is_file() else None


def _foreign(point: EntryPoint) -> frozenset[str]:
    """Returns the modules that are not on their own: herbzoo's, and those of plugins."""
    points = (one for kind in KINDS for same in parts.offered(kind).values() for one in same)
    files = (point.dist.files if point.dist else None) or []
    beside = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
    return frozenset({"herbzoo", *beside, *(one.module.split(".")[0] for one in points)})


def _licence(distribution: Distribution) -> str:
    metadata = distribution.metadata
    for key in ("License-Expression", "License"):
        for stated in metadata.get_all(key) or []:
            if stated.strip() not in ("", "UNKNOWN"):
                return _plain(stated.strip().splitlines()[0])  # some give the whole text
    classifiers = metadata.get_all("Classifier") or []
    licences = [one for one in classifiers if one.startswith("License ::")]
    return _plain(" or ".join(one.split(" :: ")[-1] for one in licences))


def _plain(text: str) -> str:
    """Keeps metadata within the line of a comment."""
    return " ".join(text.split())
