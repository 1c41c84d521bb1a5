"""What a card says of results: any `metrics.json`, of any protocol, as rows of plain figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from herbzoo.errors import RunError
from herbzoo.evaluation.metrics import METRIC_NAMES
from herbzoo.evaluation.strata import MANY, MEDIUM
from herbzoo.hub.data_facts import DOMAINS

METRICS = "metrics.json"
EVALUATIONS = "evaluations"
"""Folder of the results of further protocols, each in a folder of its own."""
FIGURE_NAMES = METRIC_NAMES | {
    "balanced_accuracy": "balanced accuracy",
    "genus_top1": "genus top-1",
    "family_top1": "family top-1",
}
"""The figures of every row of a table, in their order."""
STRATA_NAMES = {
    "many": f"species with more than {MANY} training images",
    "medium": f"species with {MEDIUM} to {MANY} training images",
    "few": f"species with fewer than {MEDIUM} training images",
    "none": "species without training images",
    "unknown": "species that the model does not know",
}
GROUP_NAMES = {
    ("pairs", "with"): "species with field photos in training",
    ("pairs", "without"): "species without field photos in training",
    ("zero_shot", "seen"): "species that it has learned",
    ("zero_shot", "unseen"): "species without training images",
} | {("basisOfRecord", basis): name for basis, name in DOMAINS.items()}
"""What people call a value of a column."""
MOST_VALUES = 12
"""Values of a column that are shown, those with the most rows."""
_ELSEWHERE = {
    *("schema_version", "protocol", "split", "n", "data", "unreadable", "overall", "groups"),
    *("harmonic_mean", "intervals", "strata", "mistakes", "calibration", "selective"),
    *("baselines", "leak_audit", "looked_at", "names_added", "unseen_among_unseen"),
}
"""Keys of `metrics.json` that have a place of their own on the card."""


def results_of(folder: Path, shown_data: Callable[[str], str]) -> list[dict[str, Any]]:
    """Returns what was measured of a run: its own `metrics.json` first, then further evaluations.

    Args:
        folder: the run.
        shown_data: returns what a card calls the data of that name.

    Raises:
        RunError: if a file is damaged.
    """
    paths = [folder / METRICS] if (folder / METRICS).is_file() else []
    paths += sorted((folder / EVALUATIONS).glob(f"*/{METRICS}"))
    found = [_result(path, path.relative_to(folder).as_posix(), shown_data) for path in paths]
    of = [result["protocol"] for result in found]
    for result, path in zip(found, paths, strict=True):
        again = of.count(result["protocol"]) > 1 and path.parent != folder
        result["title"] = result["protocol"] + (f" ({path.parent.name})" if again else "")
    return found


def columns_of(results: list[dict[str, Any]]) -> list[str]:
    """Returns which figures any row of some results has, in their order."""
    rows = [row for result in results for row in result["rows"]]
    return [name for name in FIGURE_NAMES if any(name in row["figures"] for row in rows)]


def _result(path: Path, where: str, shown_data: Callable[[str], str]) -> dict[str, Any]:
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        overall, intervals = metrics["overall"], metrics.get("intervals", {})
        return {
            "where": where,
            "protocol": str(metrics["protocol"]),
            "split": str(metrics["split"]),
            "data": shown_data(str(metrics.get("data", ""))),
            "n": int(metrics["n"]),
            "unknown": int(overall["unknown"]),
            "unreadable": int(metrics.get("unreadable", 0)),
            "ece": overall.get("ece"),
            "rows": list(_rows(metrics)),
            "hidden_rows": sum(
                max(0, len(values) - MOST_VALUES) for values in metrics["groups"].values()
            ),
            "harmonic": [
                {"label": column, **intervals.get(f"harmonic_mean.{column}", {"value": value})}
                for column, value in metrics["harmonic_mean"].items()
            ],
            "mistakes": _mistakes(metrics),
            "new_names": _new_names(metrics),
            "further": list(_further(metrics)),
            "shortcuts": metrics.get("baselines") or {},
            "selective": _selective(metrics.get("selective", {})),
            "leak_audit": metrics.get("leak_audit"),
            "looked_at": metrics.get("looked_at") or None,
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is damaged: {type(error).__name__} {error}; measure anew with `herbzoo "
            "evaluate`"
        ) from error


def _rows(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields all rows, those of each group, and those of each stratum."""
    yield _row(f"all {metrics['split']} rows", metrics["overall"], metrics.get("intervals", {}))
    for column, values in metrics["groups"].items():
        largest = sorted(values.items(), key=lambda pair: (-pair[1]["n"], pair[0]))[:MOST_VALUES]
        for value, figures in largest:
            label = GROUP_NAMES.get((column, value), f"{column}: {value}")
            yield _row(label, figures)
    for stratum, figures in metrics.get("strata", {}).items():
        yield _row(STRATA_NAMES.get(stratum, stratum), figures)


def _row(
    label: str,
    figures: Mapping[str, Any],
    intervals: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "label": label,
        "n": int(figures["n"]),
        "figures": {
            name: dict((intervals or {}).get(name, {"value": figures[name]}))
            for name in FIGURE_NAMES
            if figures.get(name) is not None
        },
    }


def _mistakes(metrics: Mapping[str, Any]) -> dict[str, int] | None:
    """Returns how far off answers are; `None` where no row states its genus and family."""
    found = metrics.get("mistakes", {}).get("taxonomy", {})
    return dict(found["steps"]) if found.get("n") else None


def _new_names(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    found = metrics.get("unseen_among_unseen")
    if not found:
        return None
    return {
        "added": int(metrics["names_added"]),
        "n": int(found["n"]),
        "chance": found["chance"],
        "top1": dict(found.get("intervals", {}).get("top1", {"value": found["top1"]})),
    }


def _selective(selective: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"promise": name, **{k: v for k, v in kept.items() if k != "ranks"}}
        for name, kept in selective.items()
    ]


def _further(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields what the protocol adds, whatever it is: each number with the words that lead to it."""
    for key, value in metrics.items():
        if key not in _ELSEWHERE:
            yield from _leaves(key, value)


def _leaves(label: str, value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, Mapping):
        if "value" in value and "low" in value:
            if value["value"] is not None:
                yield {"label": label, **{key: value[key] for key in ("value", "low", "high")}}
            return
        for key, inner in value.items():
            yield from _leaves(f"{label}, {key}".replace("_", " "), inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield {"label": label.replace("_", " "), "value": value}
