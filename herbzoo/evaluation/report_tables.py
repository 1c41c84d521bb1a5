"""The tables of a report: whatever `metrics.json` holds, in rows and columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from herbzoo.evaluation.class_counts import Answers
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.metrics import METRIC_NAMES

LABELS = METRIC_NAMES | {
    "n": "images",
    "unknown": "of unknown species",
    "balanced_accuracy": "balanced accuracy",
    "genus_top1": "genus top-1",
    "family_top1": "family top-1",
    "nll": "NLL",
    "ece": "ECE",
    "map": "mAP",
}
SECTIONS = {
    "intervals": "Intervals",
    "strata": "Many, medium and few training images",
    "calibration": "Calibration",
    "selective": "Answers that keep a promise",
    "leak_audit": "Leak audit",
    "looked_at": "Where the model looked",
    "baselines": "What shortcuts would score",
}
_IN_FRONT = ("schema_version", "protocol", "split", "n", "data", "unreadable")
_OF_OVERALL = ("overall", "groups", "harmonic_mean")
_HOLDERS = ("ranks", "views")
"""Keys that say no more than the keys within."""
EXTREMES = 15
"""Species in the tables of the worst and the best."""
MOST_ROWS = 200
_MOST_VALUES = 12
NOT_KNOWN = "–"


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first cell of a row says what it is of."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    species: bool = False
    """Whether the first cells are scientific names."""


@dataclass(frozen=True)
class Section:
    """Tables of one key of `metrics.json`."""

    title: str
    tables: tuple[Table, ...]


def label_of(key: str) -> str:
    """Returns what people call a key of `metrics.json`."""
    return LABELS.get(key, key.replace("_", " "))


def shown(value: Any) -> str:
    """Returns a value as a cell: `0.562`, `12,345`, `0.562 [0.520, 0.604]`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if 0 < abs(value) < 0.0005:
            return f"{value:.1e}"
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return f"{shown(value.get('value'))} [{shown(value['low'])}, {shown(value['high'])}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        first = ", ".join(shown(one) for one in value[:_MOST_VALUES])
        more = len(value) - _MOST_VALUES
        return f"{first} and {more:,} more" if more > 0 else first or NOT_KNOWN
    return str(value)


def overall_table(metrics: Mapping[str, Any]) -> Table:
    """Returns a row for all images, for each group, and for the harmonic means."""
    overall = metrics["overall"]
    labelled = [(f"all {metrics.get('split', '')} images".replace("  ", " "), overall)]
    for column, groups in metrics.get("groups", {}).items():
        labelled += [(f"{column}: {value}", group) for value, group in groups.items()]
        if column in metrics.get("harmonic_mean", {}):
            mean = metrics["harmonic_mean"][column]
            labelled.append((f"{column}: harmonic mean", {"top1": mean}))
    if not any(cells.get("unknown") for _, cells in labelled):
        labelled = [
            (path, {key: value for key, value in cells.items() if key != "unknown"})
            for path, cells in labelled
        ]
    return _aligned("", labelled)


def sections(metrics: Mapping[str, Any]) -> list[Section]:
    """Returns everything else that is there, in its order, a section a key."""
    found, single = [], {}
    for key, value in metrics.items():
        if key in (*_IN_FRONT, *_OF_OVERALL):
            continue
        if _is_cell(value):
            single[key] = value
            continue
        if tables := tuple(_tables(value)):
            found.append(Section(SECTIONS.get(key, label_of(key).capitalize()), tables))
    if single:
        found.append(Section("More", tuple(_tables(single))))
    return found


def species_tables(evaluated: Evaluated) -> list[Table]:
    """Returns the species of the lowest and the highest F1, or all if there are few."""
    outcomes, taxa = evaluated.outcomes, evaluated.taxonomy.taxa
    counts = Answers(outcomes.truth, outcomes.predicted).counts()
    labels = evaluated.taxonomy.labels_in_order()
    frame_names = evaluated.collection.frame["scientificName"].tolist()
    _, first = np.unique(outcomes.truth, return_index=True)
    taken_for = _taken_for(evaluated, labels)
    rows = []
    for place, number in enumerate(counts.classes.tolist()):
        known = number >= 0
        rows.append(
            (
                labels[number] if known else f"{frame_names[first[place]]} (unknown to the model)",
                shown(int(counts.occurrences[place])),
                shown(taxa[number].count) if known and taxa[number].count else NOT_KNOWN,
                shown(float(counts.precision[place])),
                shown(float(counts.recall[place])),
                shown(float(counts.f1[place])),
                taken_for.get(number, ""),
            )
        )
    header = ("species", "images", "training images", "precision", "recall", "F1",
              "most often taken for")  # fmt: skip
    worst = np.lexsort((-counts.occurrences, counts.f1)).tolist()
    if len(worst) <= 2 * EXTREMES:
        every = tuple(rows[place] for place in worst)
        return [Table(f"All {len(rows):,} species, lowest F1 first", header, every, species=True)]
    best = np.lexsort((-counts.occurrences, -counts.f1)).tolist()
    return [
        Table(
            f"The {EXTREMES} species of {kind} F1, of {len(rows):,}",
            header,
            tuple(rows[place] for place in order[:EXTREMES]),
            species=True,
        )
        for kind, order in (("lowest", worst), ("highest", best))
    ]


def _taken_for(evaluated: Evaluated, labels: Sequence[str]) -> dict[int, str]:
    """Returns for each species the one that it is most often taken for, if any."""
    truth, predicted = evaluated.outcomes.truth, evaluated.outcomes.predicted
    wrong = (truth != predicted) & (predicted >= 0)
    pairs, number = np.unique(
        np.stack([truth[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True
    )
    found: dict[int, str] = {}
    for at in np.argsort(-number, kind="stable").tolist():
        species, answer = pairs[at].tolist()
        found.setdefault(species, f"{labels[answer]} ({number[at]:,})")
    return found


def _is_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"value", "low", "high"}


def _is_cell(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _is_interval(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_is_cell(one) and not isinstance(one, (list, tuple)) for one in value)
    return True


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each dict within that has cells, with the keys that lead to it."""
    if not isinstance(value, Mapping):  # a list of dicts or lists
        value = {str(number): one for number, one in enumerate(value, 1)}
    cells = {str(key): one for key, one in value.items() if _is_cell(one)}
    if cells:
        yield " · ".join(path), cells
    for key, one in value.items():
        if not _is_cell(one):
            yield from _leaves(one, path if key in _HOLDERS else (*path, label_of(str(key))))


def _tables(value: Any) -> Iterator[Table]:
    """Puts dicts of the same keys into one table; one that stands alone is a list of its cells."""
    alike: list[tuple[set[str], list[tuple[str, dict[str, Any]]]]] = []
    for path, cells in _leaves(value):
        keys = set(cells)
        for known, group in alike:
            if keys <= known or known <= keys:
                known |= keys
                group.append((path, cells))
                break
        else:
            alike.append((keys, [(path, cells)]))
    for _, group in alike:
        if len(group) > 1:
            yield _aligned("", group)
            continue
        path, cells = group[0]
        rows = tuple((label_of(key), shown(one)) for key, one in cells.items())
        yield _shortened(Table(path, (), rows))


def _aligned(title: str, labelled: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    columns = list(dict.fromkeys(key for _, cells in labelled for key in cells))
    rows = tuple(
        (path or "all", *(shown(cells[key]) if key in cells else "" for key in columns))
        for path, cells in labelled
    )
    return _shortened(Table(title, ("", *map(label_of, columns)), rows))


def _shortened(table: Table) -> Table:
    if len(table.rows) <= MOST_ROWS:
        return table
    left = len(table.rows) - MOST_ROWS
    note = f"{left:,} more rows are in metrics.json"
    return replace(table, rows=table.rows[:MOST_ROWS], note=note)
