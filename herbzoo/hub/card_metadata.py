"""The metadata at the top of a card, as the Hub reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from herbzoo.hub.licence_ids import LICENCE_IDS, OTHER

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

LIBRARY = "transformers"
PIPELINE = "image-classification"
ZERO_SHOT = "zero-shot-image-classification"
TAGS = ("herbzoo", "herbarium", "plants", "biology")
METRIC_TYPES = {"top1": "accuracy", "macro_f1": "f1"}
"""What the Hub's own metrics are called; others keep their name in `metrics.json`."""
_HEADER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DIGITS = 6


def header(facts: Mapping[str, Any]) -> str:
    """Returns the metadata of a card as YAML, without the lines around it."""
    from huggingface_hub import ModelCardData

    stated, data = facts["stated"], facts["data"]
    results = list(_results(facts))
    card = ModelCardData(
        license=stated["license"] or None,
        license_name="see-license-file" if stated["license"] == OTHER else None,
        license_link="LICENSE" if stated["license"] == OTHER else None,
        library_name=LIBRARY,
        pipeline_tag=PIPELINE,
        tags=[*TAGS, PIPELINE, *([ZERO_SHOT] if facts["zero_shot"] else [])],
        datasets=[data["dataset"]] if data["dataset"] else None,
        base_model=facts["model"]["base_models"] or None,
        metrics=sorted({result.metric_type for result in results} & set(METRIC_TYPES.values()))
        or None,
        model_name=facts["name"] if results else None,
        eval_results=results or None,
    )
    return card.to_yaml()


def _results(facts: Mapping[str, Any]) -> Iterator[EvalResult]:
    """Yields every figure over all rows, of every protocol."""
    from huggingface_hub import EvalResult

    names = facts["figure_names"]
    for result in facts["results"]:
        overall = result["rows"][0]["figures"]
        found = [(key, names[key], value["value"]) for key, value in overall.items()]
        for kind in ("harmonic", "further"):
            found += [
                (_slug(one["label"], kind), _title(one["label"], kind), one["value"])
                for one in result[kind]
            ]
        for key, name, value in found:
            yield EvalResult(
                task_type=PIPELINE,
                dataset_type=facts["data"]["dataset"] or "other",
                dataset_name=result["data"],
                dataset_config=result["title"],  # the Hub takes equal ones for one result
                dataset_split=result["split"],
                metric_type=METRIC_TYPES.get(key, key),
                metric_name=name,
                metric_value=value if isinstance(value, int) else round(value, DIGITS),
            )


def _slug(label: str, kind: str) -> str:
    flat = re.sub(r"\W+", "_", label).strip("_").lower()
    return f"harmonic_mean_{flat}" if kind == "harmonic" else flat


def _title(label: str, kind: str) -> str:
    return f"harmonic mean of top-1, {label}" if kind == "harmonic" else label


def metadata_of(text: str) -> dict[str, Any] | None:
    """Returns the metadata at the top of a card; `None` if there are none that can be read."""
    found = _HEADER.match(text)
    if found is None:
        return None
    try:
        plain = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return None
    return plain if isinstance(plain, dict) else None


def body_of(text: str) -> str:
    """Returns a card without its metadata."""
    found = _HEADER.match(text)
    return text[found.end() :] if found else text


def metadata_problems(text: str) -> list[str]:
    """Says what of a card's metadata the Hub would refuse or misread, a line each.

    The classes of huggingface_hub are asked, and what they leave to the server is checked here:
    identifiers, licence, and that the values of results are numbers.

    Args:
        text: the whole card.
    """
    from huggingface_hub import ModelCard

    plain = metadata_of(text)
    if plain is None:
        return ["the metadata between the two lines --- at the top are no YAML"]
    problems = []
    try:
        read = ModelCard(text).data.to_dict()
        if read != plain:
            lost = sorted(key for key in plain if read.get(key) != plain[key])
            problems.append(f"the metadata {', '.join(lost)} are not read as they are written")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problems.append(f"the metadata are invalid: {' '.join(str(error).split())}")
    problems += _licence_problems(plain)
    for key in ("datasets", "base_model"):
        named = plain.get(key) or []
        for name in named if isinstance(named, list) else [named]:
            if not isinstance(name, str) or not _HUB_ID.fullmatch(name):
                problems.append(f"the metadata {key} must be Hub ids (org/name), not {name!r}")
    for key, wanted in (("library_name", LIBRARY), ("pipeline_tag", PIPELINE)):
        if plain.get(key) != wanted:
            problems.append(f"the metadata {key} must be {wanted}, not {plain.get(key)!r}")
    tags = plain.get("tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        problems.append(f"the metadata tags must be a list of words, not {tags!r}")
    return problems + list(_value_problems(plain))


def _licence_problems(plain: Mapping[str, Any]) -> list[str]:
    licence = plain.get("license")
    if not licence:
        return [
            "no licence is stated: write `license: cc-by-4.0` or another into card.yaml "
            "(herbzoo card RUN --init makes one), then herbzoo card RUN"
        ]
    if licence not in LICENCE_IDS:
        return [f"the Hub knows no licence {licence!r}"]
    return []


def _value_problems(plain: Mapping[str, Any]) -> Iterator[str]:
    index = plain.get("model-index") or []
    for model in index if isinstance(index, list) else []:
        for result in model.get("results", []) if isinstance(model, dict) else []:
            for metric in result.get("metrics", []):
                value = metric.get("value")
                whole = isinstance(value, int | float) and not isinstance(value, bool)
                if not whole or not math.isfinite(value):
                    yield f"the metadata give {metric.get('type')} as {value!r}, which is no number"
