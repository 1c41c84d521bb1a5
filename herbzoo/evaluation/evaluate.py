"""Measuring a model on rows whose species are known: what `metrics.json` holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.calibration import Calibration
from herbzoo.data.records import Collection
from herbzoo.evaluation.evaluated import Evaluated, run_over
from herbzoo.evaluation.metrics import METRIC_NAMES, grouped, measured
from herbzoo.evaluation.mistakes import mistakes
from herbzoo.evaluation.selective import kept
from herbzoo.evaluation.strata import strata, training_counts
from herbzoo.evaluation.text_table import aligned
from herbzoo.run_folder import write_json

if TYPE_CHECKING:
    from herbzoo.inference import Identifier

SCHEMA_VERSION = 1
FILE_NAME = "metrics.json"
SHOWN = ("0.80", "0.90", "0.95")
"""The promises whose keeping is reported."""


def evaluate(
    identifier: Identifier,
    collection: Collection,
    *,
    split: str = "test",
    group_by: Sequence[str] = (),
    train: Collection | None = None,
    batch_size: int = 32,
    workers: int = -1,
    progress: Callable[[int], object] = lambda images: None,
) -> dict[str, Any]:
    """Measures how well a model names the images of a collection.

    Rows without a name are left out. Images that cannot be read are left out too, and counted
    under `unreadable`; the first of them are logged. Species the model does not know count as wrong
    and are counted under `unknown`.

    Args:
        identifier: the model.
        collection: the rows to measure on, all of them.
        split: what these rows are called in the result.
        group_by: columns to report by as well.
        train: the rows the model was trained on. For a synthetic collection, what shortcuts could
            score (`herbzoo.evaluation.baselines`) is then reported beside the model.
        batch_size: images that go through the model together.
        workers: processes that decode images; 0 is none, -1 chooses.
        progress: told how many more rows are done, after each batch.

    Returns:
        What `metrics.json` holds: `protocol`, `split`, `n`, `overall`, `groups`, `harmonic_mean`,
        `data`, `unreadable`, `strata`, `mistakes`, of a calibrated model `calibration` and
        `selective`, and of a synthetic collection `baselines`.

    Raises:
        DataError: if there are no rows with a name, a column of `group_by` does not exist, the
            model knows none of the species, or no image can be read.
    """
    for name in group_by:
        collection.column(name)
    evaluated = run_over(
        identifier,
        collection,
        split=split,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    own = evaluated.collection
    groups = {name: own.column(name).to_numpy(dtype=str) for name in group_by}
    return described(evaluated, identifier.calibration, split=split, groups=groups, train=train)


def described(
    evaluated: Evaluated,
    calibration: Calibration | None = None,
    *,
    split: str = "test",
    groups: Mapping[str, np.ndarray] | None = None,
    train: Collection | None = None,
) -> dict[str, Any]:
    """Returns what `metrics.json` holds of rows that a model was run over; see `evaluate`.

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
