"""The model card: a data sheet computed from the run, rendered from plain facts."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import yaml

from herbzoo.build import LoadedRun
from herbzoo.calibration import Calibration
from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.data.splits import Split
from herbzoo.evaluation.metrics import METRIC_NAMES
from herbzoo.recipe import Recipe

FILE_NAME = "README.md"
STACKING_FILE = "stacking.json"
MEASURED_WITH = ("herbzoo", "torch", "transformers", "timm")


def write_card(
    folder: Path,
    recipe: Recipe,
    run: LoadedRun,
    split: Split,
    metrics: dict[str, Any] | None,
    seconds: float,
    resumed: bool = False,
) -> None:
    """Writes the card of a finished run beside its weights; for the rest see `card_facts`."""
    chosen = folder / STACKING_FILE
    stacking = json.loads(chosen.read_text(encoding="utf-8")) if chosen.is_file() else None
    calibration = Calibration.load(folder)
    text = render(card_facts(recipe, run, split, metrics, seconds, resumed, stacking, calibration))
    (folder / FILE_NAME).write_text(text, encoding="utf-8")


def card_facts(
    recipe: Recipe,
    run: LoadedRun,
    split: Split,
    metrics: dict[str, Any] | None,
    seconds: float,
    resumed: bool = False,
    stacking: dict[str, Any] | None = None,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """Collects what a card says; every figure comes from the run itself.

    Args:
        recipe: what the run did.
        run: the trained model.
        split: the rows it learned from and was tested on.
        metrics: what `metrics.json` holds, or `None` without test rows.
        seconds: the training took, or its last session.
        resumed: whether there was more than one session.
        stacking: what `stacking.json` holds, if an offset was chosen.
        calibration: what is known of its scores.
    """
    config = run.model.config
    parts = {
        "backbone": config.backbone,
        "neck": config.neck,
        "head": config.head,
    }
    return {
        "name": run.source,
        "data": _data_name(split.train),
        "synthetic": bool(split.train.facts.get("synthetic")),
        "pretrained": recipe.backbone.pretrained,
        "parts": {
            kind: {"name": part["name"], "options": _short(part["options"])}
            for kind, part in parts.items()
        },
        "requires": sorted({source["distribution"] for source in config.requires.values()}),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "image_size": [run.processor.crop_size[side] for side in ("height", "width")],
        "taxa": {
            "species": len(run.taxonomy),
            "genera": len({taxon.genus for taxon in run.taxonomy.taxa if taxon.genus}),
            "families": len({taxon.family for taxon in run.taxonomy.taxa if taxon.family}),
        },
        "rows": {
            name: _counts(part)
            for name, part in (
                ("train", split.train),
                ("validation", split.validation),
                ("test", split.test),
            )
        },
        "images_a_species": _spread([taxon.count for taxon in run.taxonomy.taxa]),
        "split_rule": split.rule,
        "skipped": len(split.train.skipped),
        "names": split.train.facts.get("names_resolved"),
        "recipe": recipe.to_dict(),
        "steps": recipe.training.epochs > 0 or recipe.training.max_steps > 0,
        "sampled": bool(run.model.sparse_parameters()),
        "stacking": stacking,
        "calibration": calibration,
        "reads_names": bool(getattr(run.model.head, "reads_names", False)),
        "metrics": metrics,
        "metric_names": METRIC_NAMES,
        "minutes": seconds / 60,
        "resumed": resumed,
        "environment": {name: version(name) for name in MEASURED_WITH}
        | {"python": platform.python_version(), "machine": platform.machine()},
    }


def render(facts: dict[str, Any]) -> str:
    """Renders a card; every word of it comes from the facts or the template."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("herbzoo.hub"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown; what is user text goes through `escaped`
    )
    environment.filters["escaped"] = _escaped
    body = environment.get_template("card.md.jinja").render(facts)
    header = yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n\n{body}"


def _metadata(facts: dict[str, Any]) -> dict[str, Any]:
    """Returns the Hub's metadata, with the results in its `model-index` layout."""
    metadata: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["herbzoo", "herbarium", "plants", "biology", "image-classification"],
    }
    if facts["metrics"] is None:
        return metadata
    overall = facts["metrics"]["overall"]
    dataset = {"name": facts["data"], "type": "other", "split": facts["metrics"]["split"]}
    results = [
        {"type": key, "name": name, "value": round(overall[key], 6)}
        for key, name in facts["metric_names"].items()
    ]
    metadata["model-index"] = [
        {
            "name": facts["name"],
            "results": [
                {
                    "task": {"type": "image-classification"},
                    "dataset": dataset,
                    "metrics": results,
                }
            ],
        }
    ]
    return metadata


def _data_name(collection: Collection) -> str:
    """Returns what the data are called, without the path of somebody's disk."""
    facts = collection.facts
    if facts.get("synthetic"):
        return f"the synthetic flora of {facts['species']} species, seed {facts['seed']}"
    return Path(collection.name).name or collection.name


def _counts(part: Collection) -> dict[str, int]:
    domains = part.frame["basisOfRecord"]
    return {
        "images": len(part),
        "herbarium": int((domains == HERBARIUM).sum()),
        "field": int((domains == FIELD).sum()),
    }


def _spread(counts: list[int]) -> dict[str, float]:
    ordered = sorted(counts)
    return {"least": ordered[0], "median": ordered[len(ordered) // 2], "most": ordered[-1]}


def _short(options: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what would fill a page, such as a text tower's whole configuration."""
    return {
        key: value if not isinstance(value, dict) else f"{value.get('model_type', 'given')} ..."
        for key, value in options.items()
    }


def _escaped(text: str) -> str:
    """Keeps user text from becoming markup or leaving its table cell."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text)
