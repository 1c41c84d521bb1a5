"""The code of a model beside its weights, so that transformers loads it without herbzoo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jinja2

import herbzoo.modeling
from herbzoo import registry
from herbzoo.errors import RunError
from herbzoo.hub.part_code import Origin, PartCode, Sources, collect, read
from herbzoo.interfaces import KINDS
from herbzoo.run_folder import write_json

CONFIG = "config.json"
OURS = "herbzoo"
"""The distribution, and the `model_type`."""
MODELING = Path(herbzoo.modeling.__file__).parent
CONFIGURATION_MODULE, MODEL_MODULE = "configuration_herbzoo", "modeling_herbzoo"
NAMES_MODULE, PARTS_MODULE = "zero_shot_herbzoo", "copied_herbzoo"
AUTO_MAP = {
    "AutoConfig": f"{CONFIGURATION_MODULE}.HerbConfig",
    "AutoModel": f"{MODEL_MODULE}.HerbModel",
    "AutoModelForImageClassification": f"{MODEL_MODULE}.HerbForImageClassification",
}
NAMES_CLASS = "HerbForZeroShotImageClassification"
NAMES_AUTO_CLASS = "AutoModelForZeroShotImageClassification"


@dataclass(frozen=True)
class Code:
    """What was written beside the weights."""

    files: tuple[str, ...]
    """Names, sorted."""
    self_contained: bool
    """Whether the model loads without herbzoo; else the code only says what to install."""
    distributions: tuple[str, ...] = ()
    """What it asks for, if it is not self-contained."""
    notes: tuple[str, ...] = ()
    """What a publisher should know, a line each: why it is not, or whose code states no licence."""


def write_code(folder: Path) -> Code:
    """Writes the code of a model into its folder, and names it in `config.json`.

    The folder then loads by `trust_remote_code=True` where herbzoo is not installed. If a part is
    not self-contained, code is written that says what to install instead.

    Args:
        folder: a copy of a run folder, whose `config.json` is no link.

    Raises:
        RunError: if it holds no herbzoo model.
        PluginError: if a part is not installed here.
    """
    config = _config_of(folder)
    found = [PartCode.find(kind, config[_part(kind)]["name"]) for kind in KINDS]
    reads_names = any(getattr(one.part, "reads_names", False) for one in found)
    ours = collect(MODEL_MODULE, MODELING / f"{MODEL_MODULE}.py")
    if reads_names:
        ours.files[NAMES_MODULE] = MODELING / f"{NAMES_MODULE}.py"
    obstacles = [*_obstacles(found), *_clashes([ours, *(one.sources for one in found)])]
    if obstacles:
        return _write_shim(folder, config, obstacles, reads_names)
    origin = Origin.of(distribution(OURS))
    texts = {name: _copy(path, origin) for name, path in ours.files.items()}
    for one in found:
        for name, path in one.sources.files.items():
            texts[name] = _copy(path, one.origin)
    together = sorted(set(texts) - {PARTS_MODULE})
    body = _render(f"{PARTS_MODULE}.py.jinja", parts=found, together=together)
    texts[PARTS_MODULE] = _made(body, origin)
    files = _write(folder, texts)
    _write_auto_map(folder, config, NAMES_MODULE if reads_names else "")
    unlicensed = sorted({one.origin.distribution for one in found if not one.origin.licence})
    notes = [f"{name} states no licence, and its code goes along" for name in unlicensed]
    return Code(files, True, notes=tuple(notes))


def _config_of(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} holds no model that can be read: {error}") from error
    if not isinstance(config, dict) or config.get("model_type") != OURS:
        raise RunError(f"{folder} holds no herbzoo model: its {CONFIG} says otherwise")
    for part in map(_part, KINDS):
        if not isinstance(config.get(part), dict) or "name" not in config[part]:
            raise RunError(f"{folder} is damaged: its {CONFIG} names no {part}")
    return config


def _part(kind: str) -> str:
    return kind.removesuffix("s")


def _obstacles(found: Iterable[PartCode]) -> list[str]:
    lines = [
        f"{one.name} of {one.origin.distribution} cannot be copied: {obstacle}"
        for one in found
        for obstacle in one.sources.obstacles
    ]
    return list(dict.fromkeys(lines))


def _clashes(sources: Iterable[Sources]) -> list[str]:
    """Says which modules of different folders have one name, and cannot lie in one."""
    places: dict[str, set[Path]] = {}
    for own in sources:
        for name, path in own.files.items():
            places.setdefault(name.lower(), set()).add(path)
    clashing = [sorted(paths) for paths in places.values() if len(paths) > 1]
    return [
        f"{' and '.join(f'{path.parent.name}/{path.name}' for path in paths)} have one name, and "
        "cannot lie in one folder"
        for paths in clashing
    ]


def _write_shim(
    folder: Path, config: dict[str, Any], reasons: list[str], reads_names: bool
) -> Code:
    named = {kind: config[_part(kind)]["name"] for kind in KINDS}
    requires = config.get("requires", {})
    sources = {
        kind: requires[kind]["distribution"]
        if kind in requires
        else registry.distribution(kind, name)[0]
        for kind, name in named.items()
    }
    wanted = (OURS, *sorted({*sources.values()} - {OURS}))
    came = " and ".join(f"{named[kind]} of {sources[kind]}" for kind in KINDS)
    message = (
        f"this model is made of {came}, whose code is not beside its weights: "
        f"pip install {' '.join(wanted)}, and import herbzoo before loading it"
    )
    origin = Origin.of(distribution(OURS))
    texts = {
        CONFIGURATION_MODULE: _copy(MODELING / f"{CONFIGURATION_MODULE}.py", origin),
        MODEL_MODULE: _made(_render("shim.py.jinja", reasons=reasons, message=message), origin),
    }
    files = _write(folder, texts)
    _write_auto_map(folder, config, MODEL_MODULE if reads_names else "")
    return Code(files, False, wanted, tuple(reasons))


def _write_auto_map(folder: Path, config: dict[str, Any], names_module: str) -> None:
    """Adds the classes to `config.json`; the one that takes names only if there is a module."""
    by_names = {NAMES_AUTO_CLASS: f"{names_module}.{NAMES_CLASS}"} if names_module else {}
    write_json(folder / CONFIG, config | {"auto_map": AUTO_MAP | by_names})


def _write(folder: Path, texts: dict[str, str]) -> tuple[str, ...]:
    """Writes modules; each says of which code it is one.

    transformers tells the modules of two local folders of one name apart by their content, and
    registers a model's class for its configuration's class. So that no model gets the classes of
    another, no module may be the same in two models that differ in any.
    """
    joined = "".join(f"{name}\n{text}" for name, text in sorted(texts.items()))
    digest = hashlib.sha256(joined.encode()).hexdigest()[:16]
    for name, text in texts.items():
        whole = f"# Of the code {digest}\n{text}"
        (folder / f"{name}.py").write_text(whole, encoding="utf-8", newline="\n")
    return tuple(sorted(f"{name}.py" for name in texts))


def _copy(path: Path, origin: Origin) -> str:
    licence = origin.licence and f"SPDX-License-Identifier: {origin.licence}"
    made = f"{path.name} of {origin.distribution} {origin.version}"
    return f"# {made}\n# {licence or 'No licence stated'}\n{read(path)}"


def _made(body: str, origin: Origin) -> str:
    made = f"Written by {origin.distribution} {origin.version} when the model was published"
    return f"# {made}\n# SPDX-License-Identifier: {origin.licence}\n{body}"


def _render(template: str, **facts: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("herbzoo.hub"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Python; what others may have named goes through `repr`
    )
    environment.filters["repr"] = repr
    return environment.get_template(template).render(facts)
