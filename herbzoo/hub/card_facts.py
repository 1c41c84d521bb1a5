"""What a card says, collected from the files of a run: plain values, and no weights are loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from herbzoo.calibration import Calibration
from herbzoo.data.records import HERBARIUM
from herbzoo.errors import RecipeError, RunError
from herbzoo.evaluation.strata import MANY, MEDIUM
from herbzoo.hub.card_results import FIGURE_NAMES, columns_of, results_of
from herbzoo.hub.card_yaml import licence_id, read_stated
from herbzoo.hub.data_facts import DOMAINS, shown_source
from herbzoo.hub.remote_code import PARTS_MODULE
from herbzoo.hub.training_facts import read_training_facts
from herbzoo.recipe import FILE_NAME as RECIPE_FILE
from herbzoo.recipe import Recipe
from herbzoo.taxonomy import Taxonomy

SCHEMA_VERSION = 1
STACKING_FILE = "stacking.json"
FIGURES = "figures"
PICTURES = (".png", ".svg")
TITLES = {
    "class_distribution": "Test images a species",
    "class_distribution_train": "Training images a species",
    "confusion": "What is taken for what",
    "looked": "Where the model looked",
    "neighbours": "Nearest herbarium sheets",
    "reliability": "How often a score is right",
    "risk_coverage": "Errors among the answers, against the share answered",
    "species_f1": "F1 by species",
    "training_curves": "The training",
}
EXAMPLES = 5
"""Species with few images that are named."""
_LONGEST = 200
"""Characters of an option, beyond which it is cut."""


def facts_of(folder: Path, *, model_id: str = "", license_id: str = "") -> dict[str, Any]:
    """Collects what the card of a run says.

    Args:
        folder: the run.
        model_id: what `from_pretrained` is given in the card: a Hub id, or else the folder.
        license_id: of the model, instead of that in `card.yaml`.

    Returns:
        Plain values, as YAML and JSON hold them.

    Raises:
        RunError: if it is no run, has no `training.json`, or a file of it is damaged.
    """
    trained = read_training_facts(folder)
    recipe = _recipe(folder)
    config = _json(folder / "config.json")
    processor = _json(folder / "preprocessor_config.json")
    taxonomy = Taxonomy.load(folder)
    stated = read_stated(folder)
    if license_id:
        stated = replace(stated, license=licence_id(license_id))
    source, data_name = shown_source(recipe.data.source), trained["data"]["name"]

    def shown_data(name: str) -> str:
        return data_name if shown_source(name) in (source, "") else shown_source(name)

    model_id = model_id or str(folder)
    try:
        results = results_of(folder, shown_data)
        return {
            "schema_version": SCHEMA_VERSION,
            "model_id": model_id,
            "name": Path(model_id).name,
            "stated": stated.to_dict(),
            **{key: trained[key] for key in _OF_TRAINING},
            "limits": _limits(trained["data"]),
            "parts": {kind: _part(config[kind]) for kind in ("backbone", "neck", "head")},
            "needs": sorted({one["distribution"] for one in config["requires"].values()}),
            "remote_code": has_code(folder),
            "labelled": bool(config.get("id2label")),
            "zero_shot": (folder / "tokenizer.json").is_file(),
            "weights": _weights(folder),
            "image": [int(processor["crop_size"][side]) for side in ("height", "width")],
            "taxonomy": _taxonomy(taxonomy),
            "recipe": _settings(recipe),
            "calibration": _calibration(folder),
            "stacking": _stacking(folder),
            "figure_names": dict(FIGURE_NAMES),
            "columns": columns_of(results),
            "results": results,
            "figures": _figures(folder),
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{folder} is damaged: a file of it lacks something ({type(error).__name__} {error})"
        ) from error


def has_code(folder: Path) -> bool:
    """Says whether the code with which a model loads without herbzoo lies beside its weights."""
    return (folder / f"{PARTS_MODULE}.py").is_file()


_OF_TRAINING = ("finished", "data", "split", "model", "effort", "environment", "changes")


def _recipe(folder: Path) -> Recipe:
    if not (folder / RECIPE_FILE).is_file():
        raise RunError(f"{folder} has no {RECIPE_FILE}, so nobody knows how it was trained")
    try:
        return Recipe.load(folder / RECIPE_FILE)
    except RecipeError as error:
        raise RunError(f"{folder / RECIPE_FILE} is damaged: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path.parent} is no run: it has no {path.name}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise RunError(f"{path} is damaged: it holds no keys")
    return document


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what would fill a page, such as a text tower's whole configuration."""
    return {
        "name": part["name"],
        "options": {key: _short(value) for key, value in part["options"].items()},
    }


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return f"{value.get('model_type', 'given')} ..."
    text = str(value)
    return value if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _weights(folder: Path) -> dict[str, Any]:
    """Counts from the headers of the weights what is in them."""
    from safetensors import SafetensorError, safe_open

    numbers = tensors = size = 0
    for path in sorted(folder.glob("*.safetensors")):
        size += path.stat().st_size
        try:
            with safe_open(path, framework="np") as opened:
                names = list(opened.keys())
                numbers += sum(
                    int(np.prod(opened.get_slice(name).get_shape(), dtype=np.int64))
                    for name in names
                )
                tensors += len(names)
        except SafetensorError as error:
            raise RunError(f"{path} is damaged: {error}") from error
    if not tensors:
        raise RunError(f"{folder} holds no model: it has no model.safetensors")
    return {"millions": round(numbers / 1e6, 2), "megabytes": round(size / 1e6, 1)}


def _taxonomy(taxonomy: Taxonomy) -> dict[str, Any]:
    counts = np.array([taxon.count for taxon in taxonomy.taxa])
    rarest = [taxon for taxon in taxonomy.taxa if 0 < taxon.count < MEDIUM]
    rarest.sort(key=lambda taxon: (taxon.count, taxon.scientificName))
    table = taxonomy.name_table
    return {
        "species": len(taxonomy),
        "genera": len({taxon.genus for taxon in taxonomy.taxa if taxon.genus}),
        "families": len({taxon.family for taxon in taxonomy.taxa if taxon.family}),
        "table": "" if table is None else f"{table.name} {table.version}".strip(),
        "by_name_alone": int((counts == 0).sum()),
        "spread": _spread(counts[counts > 0]),
        "many": int((counts > MANY).sum()),
        "medium": int(((counts >= MEDIUM) & (counts <= MANY)).sum()),
        "few": len(rarest),
        "bounds": [MEDIUM, MANY],
        "rarest": [
            {"name": taxon.scientificName, "images": taxon.count} for taxon in rarest[:EXAMPLES]
        ],
    }


def _spread(counts: np.ndarray) -> dict[str, float] | None:
    if not len(counts):
        return None
    names = ("least", "lower", "median", "upper", "most")
    found = np.quantile(counts, (0, 0.25, 0.5, 0.75, 1))
    return {name: _whole(value) for name, value in zip(names, found.tolist(), strict=True)}


def _whole(value: float) -> float:
    return int(value) if value == int(value) else round(value, 1)


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Returns what decides a training, without the paths of somebody's disk."""
    plain = recipe.to_dict()
    shares = {key: plain["data"][key] for key in ("validation_share", "test_share")}
    return {
        "seed": recipe.seed,
        "data": shares,
        "image": plain["image"],
        "training": plain["training"],
        "gradients": recipe.training.epochs > 0 or recipe.training.max_steps > 0,
    }


def _calibration(folder: Path) -> dict[str, Any] | None:
    found = Calibration.load(folder)
    if found is None:
        return None
    return {
        "temperature": found.temperature,
        "rows": found.rows,
        "source": found.source,
        "domains": {DOMAINS.get(name, name): rows for name, rows in found.domains.items()},
        "before": dict(found.before),
        "after": dict(found.after),
    }


def _stacking(folder: Path) -> dict[str, Any] | None:
    """Sums up how an offset was chosen: means over the rounds."""
    path = folder / STACKING_FILE
    if not path.is_file():
        return None
    found = _json(path)
    rounds = found["rounds"]
    return {
        "offset": found["offset"],
        "hubness": found["hubness"],
        "favoured": found["favoured"],
        "rounds": len(rounds),
        "species": len(rounds[0]["species"]),
        "before": float(np.mean([one["before"] for one in rounds])),
        "after": float(np.mean([one["after"] for one in rounds])),
    }


def _figures(folder: Path) -> list[dict[str, str]]:
    there = folder / FIGURES
    found = sorted(there.iterdir()) if there.is_dir() else []
    return [
        {
            "title": _title(path.stem),
            "path": path.relative_to(folder).as_posix(),
        }
        for path in found
        if path.is_file() and path.suffix in PICTURES and not path.is_symlink()
    ]


def _title(stem: str) -> str:
    """Returns what a figure shows; `looked_2` is the second one of its kind."""
    kind, _, number = stem.rpartition("_")
    if not number.isdigit():
        kind, number = stem, ""
    title = TITLES.get(kind, kind.replace("_", " ").capitalize())
    return f"{title} ({number})" if number else title


def _limits(data: dict[str, Any]) -> dict[str, Any]:
    """Returns which domains the model has learned from, and which it has not."""
    seen = [one["name"] for one in data["domains"]["top"]]
    tested = data["rows"]["test"]["domains"]
    return {
        "seen": seen,
        "untested": [name for name in seen if name not in tested],
        "unseen": [name for name in DOMAINS.values() if name not in seen],
        "margins": not seen or DOMAINS[HERBARIUM] in seen,
    }
