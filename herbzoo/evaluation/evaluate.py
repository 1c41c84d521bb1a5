"""What `metrics.json` holds of rows that a model was run over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from herbzoo.calibration import Calibration
from herbzoo.data.records import Collection
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.intervals import intervals
from herbzoo.evaluation.metrics import METRIC_NAMES, grouped, measured
from herbzoo.evaluation.mistakes import mistakes
from herbzoo.evaluation.selective import kept
from herbzoo.evaluation.strata import strata, training_counts
from herbzoo.evaluation.text_table import aligned
from herbzoo.run_folder import write_json

SCHEMA_VERSION = 1
FILE_NAME = "metrics.json"
SHOWN = ("0.80", "0.90", "0.95")
"""The promises whose keeping is reported."""


def described(
    evaluated: Evaluated,
    calibration: Calibration | None = None,
    *,
    split: str = "test",
    groups: Mapping[str, np.ndarray] | None = None,
    train: Collection | None = None,
) -> dict[str, Any]:
    """Returns what every protocol reports.

    Args:
        evaluated: `N` rows.
        calibration: that of the model, if it has one.
        split: what these rows are called.
        groups: by name of the column, values `[N]` to report by.
        train: the rows the model was trained on.
    """
    collection = evaluated.collection
    metrics = grouped(evaluated.outcomes, groups or {}, split)
    metrics |= {"data": collection.name, "unreadable": evaluated.unreadable}
    metrics["intervals"] = intervals(evaluated, groups or {})
    counts = training_counts(evaluated.taxonomy)
    if counts.any():  # a taxonomy made of bare names has none
        metrics["strata"] = strata(evaluated.outcomes, counts)
    metrics["mistakes"] = mistakes(evaluated)
    if calibration is not None:
        metrics |= calibrated(evaluated, calibration)
    if train is not None and len(train) and collection.facts.get("synthetic"):
        from herbzoo.evaluation.baselines import shortcut_baselines

        metrics["baselines"] = shortcut_baselines(train, collection)
    return metrics


def calibrated(evaluated: Evaluated, calibration: Calibration) -> dict[str, Any]:
    """Says what a calibration does to some rows, and how its promises are kept on them."""
    plain = measured(evaluated.uncalibrated or evaluated.outcomes)
    promised = {name: calibration.promises[name] for name in SHOWN if name in calibration.promises}
    return {
        "calibration": {
            "temperature": calibration.temperature,
            "rows": calibration.rows,
            "source": calibration.source,
            "domains": dict(calibration.domains),
            "before": {"nll": plain.nll, "ece": plain.ece},
        },
        "selective": kept(evaluated.outcomes, promised),
    }


def metrics_table(metrics: dict[str, Any]) -> str:
    """Returns metrics as lines for people: all rows, each group, and what shortcuts reach."""
    lines: list[tuple[str, ...]] = [("", "n", *METRIC_NAMES.values())]
    lines.append(_line(metrics["split"], metrics["overall"]))
    for column, groups in metrics["groups"].items():
        lines += [_line(f"{column}: {value}", group) for value, group in groups.items()]
        if column in metrics["harmonic_mean"]:
            mean = f"{metrics['harmonic_mean'][column]:.3f}"
            lines.append((f"{column}: harmonic mean", "", mean, "", "", ""))
    for name, top1 in metrics.get("baselines", {}).items():
        label = f"baseline: {name.replace('_', ' ')}"
        lines.append((label, "", f"{top1:.3f}", "", "", ""))
    notes = []
    if unknown := metrics["overall"]["unknown"]:
        notes.append(f"{unknown:,} images are of species the model does not know: counted as wrong")
    if unreadable := metrics.get("unreadable"):
        notes.append(f"{unreadable:,} images could not be read: not counted")
    return "\n".join([aligned(lines), *notes])


def _line(label: str, metrics: dict[str, Any]) -> tuple[str, ...]:
    shares = (f"{metrics[key]:.3f}" for key in METRIC_NAMES)
    return (label, f"{metrics['n']:,}", *shares)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> Path:
    """Writes `metrics.json` into a folder, whole or not at all; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    write_json(path, {"schema_version": SCHEMA_VERSION, **metrics})
    return path
