"""`training.json`: what a card says of data, time and machine, and no other file of a run knows."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo import registry
from herbzoo.errors import RunError
from herbzoo.hub.data_facts import data_facts, split_facts
from herbzoo.interfaces import KINDS
from herbzoo.run_folder import write_json

if TYPE_CHECKING:
    import torch

    from herbzoo.data.splits import Split
    from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
    from herbzoo.recipe import Recipe

FILE_NAME = "training.json"
SCHEMA_VERSION = 1
MEASURED_WITH = ("herbzoo", "torch", "torchvision", "timm", "transformers", "numpy", "pillow")
"""Distributions whose versions can change a figure."""
FROM_THE_HUB = "from the Hub"
"""How a part that fetches its weights from the Hub ends the text of its `pretrained`."""
_CPU_NAME = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Effort:
    """What a training took."""

    seconds: float
    """The time of its last session."""
    resumed: bool
    """Whether there were sessions before that."""
    device: torch.device
    dtype: str
    """As the user asked for it."""
    processes: int = 1


def write_training_facts(
    folder: Path,
    recipe: Recipe,
    split: Split,
    model: HerbForImageClassification,
    effort: Effort,
) -> Path:
    """Writes `training.json` into a folder, whole or not at all; returns its path.

    Args:
        folder: where the finished files of the run are.
        recipe: what the training did.
        split: the rows it learned from, and those it held out.
        model: what came of it.
        effort: the time it took, and where.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "finished": datetime.now(UTC).date().isoformat(),
        "data": data_facts(split, recipe.data),
        "split": split_facts(split),
        "model": _model_facts(recipe, model),
        "effort": _effort_facts(effort),
        "environment": {name: version(name) for name in MEASURED_WITH}
        | {"Python": platform.python_version()},
        "changes": {},
    }
    path = folder / FILE_NAME
    write_json(path, document)
    return path


def read_training_facts(folder: Path) -> dict[str, Any]:
    """Reads `training.json` of a run.

    Raises:
        RunError: if there is none, it is damaged, or from a newer herbzoo.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise RunError(
            f"{folder} has no {FILE_NAME}, from which a card is made: it is no run, or was trained "
            f"before there was one; train it again (herbzoo train --recipe {folder}/recipe.yaml "
            "--output NEW)"
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        newer = int(document["schema_version"]) > SCHEMA_VERSION
        for key, kind in _HOLDS.items():
            if not isinstance(document[key], kind):
                raise TypeError(key)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: {type(error).__name__} {error}") from error
    if newer:
        raise RunError(
            f"{path} has schema {document['schema_version']}, this herbzoo reads up to "
            f"{SCHEMA_VERSION}: pip install --upgrade herbzoo"
        )
    return document


_HOLDS: Mapping[str, type] = {
    "finished": str,
    "data": dict,
    "split": dict,
    "model": dict,
    "effort": dict,
    "environment": dict,
    "changes": dict,
}


def note_change(folder: Path, kind: str, notice: str) -> None:
    """Notes in `training.json` what was done to a run after its training.

    Args:
        folder: the changed run, into which the file was copied.
        kind: what was changed; a later change of the same kind takes the place of an earlier one.
        notice: one paragraph of Markdown, in which text of users is escaped.

    Raises:
        RunError: as `read_training_facts`.
    """
    document = read_training_facts(folder)
    document["changes"] = {**document["changes"], kind: notice}
    write_json(folder / FILE_NAME, document)


def _model_facts(recipe: Recipe, model: HerbForImageClassification) -> dict[str, Any]:
    parts = {"backbones": recipe.backbone, "heads": recipe.head}
    weights = {
        kind: registry.pretrained(kind, parts[kind].name) if parts[kind].pretrained else ""
        for kind in KINDS
    }
    return {
        "pretrained": weights,
        "base_models": _base_models(model, weights),
        "reads_names": bool(getattr(model.head, "reads_names", False)),
        "sampled": bool(model.sparse_parameters()),
    }


def _base_models(model: HerbForImageClassification, weights: Mapping[str, str]) -> list[str]:
    """Returns the Hub ids that weights were loaded from, as far as the parts say."""
    from herbzoo.data.readers.arrow import is_hub_id

    found: list[str] = []
    if weights["backbones"].endswith(FROM_THE_HUB):
        for module in model.backbone.modules():
            known = getattr(module, "pretrained_cfg", None)
            if isinstance(known, dict) and is_hub_id(str(known.get("hf_hub_id") or "")):
                found.append(str(known["hf_hub_id"]))
    if weights["heads"]:
        texts = [value for value in model.config.head["options"].values() if isinstance(value, str)]
        found += [text for text in texts if is_hub_id(text) and not Path(text).exists()]
    return list(dict.fromkeys(found))


def _effort_facts(effort: Effort) -> dict[str, Any]:
    import torch

    device = effort.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "seconds": round(effort.seconds),
        "resumed": effort.resumed,
        "processes": effort.processes,
        "device": device.type,
        "accelerator": name,
        "dtype": effort.dtype,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """Returns what the processor is called, or its architecture."""
    try:
        found = _CPU_NAME.search(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:  # not Linux
        found = None
    return found[1].strip() if found else platform.machine()
