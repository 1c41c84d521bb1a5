"""Runs side by side on the same rows: figures with intervals, and differences that mean something.

Every run is compared with the first one. Differences are taken draw by draw on the same rows, so
that their intervals are narrower than those of the figures would make believe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from herbzoo.data.gatherings import gatherings
from herbzoo.data.records import Collection
from herbzoo.errors import DataError
from herbzoo.evaluation.class_counts import Answers
from herbzoo.evaluation.embedding_map import EmbeddingMap
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.metrics import BLANK, METRIC_NAMES, harmonic_mean
from herbzoo.evaluation.outcomes import Outcomes
from herbzoo.evaluation.resampling import LEVEL, Draws, Interval
from herbzoo.evaluation.significance import McNemar, PairedBootstrap, mcnemar, paired_bootstrap
from herbzoo.evaluation.text_table import aligned

SCHEMA_VERSION = 1
HARMONIC = "harmonic mean"
SIDE_BY_SIDE = 4
"""Runs that a terminal has room for in columns."""


@dataclass(frozen=True)
class Measure:
    """One figure of every run."""

    key: str
    """`top1`, `top5`, `mrr` or `macro_f1`."""
    column: str = ""
    """The column that divides the rows; '' for all rows."""
    group: str = ""
    """The value of that column, or `HARMONIC` for the harmonic mean of its two values."""
    n: int = 0
    """Rows."""

    @property
    def label(self) -> str:
        """What people call it."""
        name = METRIC_NAMES[self.key]
        return f"{self.column}: {self.group}, {name}" if self.column else name


@dataclass(frozen=True)
class Comparison:
    """What `R` runs make of the same rows."""

    names: tuple[str, ...]
    """Of the runs."""
    data: str
    rows: str
    """A phrase that says which rows they are."""
    n: int
    gatherings: int
    """Rows that do not depend on one another; intervals draw these."""
    unreadable: int
    measures: tuple[Measure, ...]
    figures: PairedBootstrap
    """In the order of names and measures."""
    tests: tuple[McNemar, ...]
    """Of each run but the first against the first, on top-1."""
    maps: Mapping[str, EmbeddingMap]
    """By run; empty where none could be drawn."""
    map_note: str = ""
    """Which images are on the maps, or why there are none."""
    notes: tuple[str, ...] = ()
    """What a reader must know of these rows and runs."""

    def value(self, run: int, measure: int) -> Interval:
        """Returns a figure of a run."""
        return self.figures.value(run, measure)

    def difference(self, run: int, measure: int) -> Interval:
        """Returns a figure of a run less that of the first."""
        return self.figures.difference(run, measure)

    def as_dict(self) -> dict[str, Any]:
        """Returns the plain dict that `comparison.json` holds; figures that are NaN are `None`."""
        runs = range(len(self.names))
        return {
            "schema_version": SCHEMA_VERSION,
            "data": self.data,
            "rows": self.rows,
            "n": self.n,
            "gatherings": self.gatherings,
            "unreadable": self.unreadable,
            "level": LEVEL,
            "runs": {self.names[run]: self._nested(run, self.value) for run in runs},
            "differences_to": self.names[0],
            "differences": {
                self.names[run]: {
                    **self._nested(run, self.difference),
                    "mcnemar": self.tests[run - 1].as_dict(),
                }
                for run in runs[1:]
            },
            "maps": {name: found.numbers.as_dict() for name, found in self.maps.items()},
            "map_note": self.map_note,
            "notes": list(self.notes),
        }

    def _nested(self, run: int, figure: Any) -> dict[str, Any]:
        """Returns the figures of a run in the shape of `metrics.json`."""
        found: dict[str, Any] = {"overall": {}, "groups": {}, "harmonic_mean": {}}
        for place, measure in enumerate(self.measures):
            numbers = {
                name: value if np.isfinite(value) else None
                for name, value in figure(run, place).as_dict().items()
            }
            if not measure.column:
                found["overall"][measure.key] = numbers
            elif measure.group == HARMONIC:
                found["harmonic_mean"][measure.column] = numbers
            else:
                values = found["groups"].setdefault(measure.column, {})
                values[measure.group] = {"n": measure.n, measure.key: numbers}
        return found


def compare(
    runs: Mapping[str, Evaluated],
    *,
    rows: str = "test rows",
    group_by: Sequence[str] = (),
    maps: Mapping[str, EmbeddingMap] | None = None,
    map_note: str = "",
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Compares what runs made of the same rows.

    Rows that one of them could not read are left out for all.

    Args:
        runs: by name, the first is the one the others are compared with.
        rows: a phrase that says which rows they are.
        group_by: columns to report top-1 by as well; of a column with two values, not counting
            empty ones, also the harmonic mean.
        maps: of their embeddings, by name.
        map_note: which images are on the maps, or why there are none.
        notes: what else a reader must know.
        seed: of the intervals.

    Raises:
        DataError: if the runs share no row that they could read, or a column does not exist.
    """
    names = tuple(runs)
    aligned = same_rows(runs)
    first = aligned[0]
    groups = gatherings(first.collection.frame)
    columns = {name: first.collection.column(name).to_numpy(dtype=object) for name in group_by}
    measures = _measures(len(first), columns)
    statistics = [_Statistic(each.outcomes, columns) for each in aligned]

    def figures(weights: np.ndarray) -> np.ndarray:
        return np.array([statistic(weights) for statistic in statistics])

    right = [each.outcomes.right for each in aligned]
    told = list(notes)
    if len({frozenset(t.scientificName for t in each.taxonomy.taxa) for each in aligned}) > 1:
        known = ", ".join(f"{n} {len(e.taxonomy):,}" for n, e in zip(names, aligned, strict=True))
        told.append(
            f"the runs choose between different species ({known}), and more make it harder; those "
            "that a run does not know count as wrong"
        )
    if len(names) > 2:
        told.append("p values are not corrected for the number of runs")
    return Comparison(
        names=names,
        data=first.collection.name,
        rows=rows,
        n=len(first),
        gatherings=len(np.unique(groups)),
        unreadable=max(len(each) + each.unreadable for each in runs.values()) - len(first),
        measures=measures,
        figures=paired_bootstrap(figures, Draws(groups, seed)),
        tests=tuple(mcnemar(right[0], other) for other in right[1:]),
        maps=maps or {},
        map_note=map_note,
        notes=tuple(told),
    )


def row_keys(collection: Collection) -> list[tuple[str, int]]:
    """Returns what tells the rows of a collection apart: the image, and which row of it it is."""
    images = collection.frame["image"]
    return list(zip(images.tolist(), images.groupby(images).cumcount().tolist(), strict=True))


def same_rows(runs: Mapping[str, Evaluated]) -> list[Evaluated]:
    """Returns the rows that all runs could read, in the order of the first run.

    Raises:
        DataError: if there are none.
    """
    keys = {name: row_keys(each.collection) for name, each in runs.items()}
    shared = set.intersection(*map(set, keys.values()))
    if not shared:
        raise DataError(f"there is no row that all of {', '.join(runs)} could read")
    order = [key for key in next(iter(keys.values())) if key in shared]
    chosen = []
    for name, each in runs.items():
        place = {key: row for row, key in enumerate(keys[name])}
        chosen.append(each.select(np.array([place[key] for key in order], dtype=np.int64)))
    return chosen


def _measures(n: int, columns: Mapping[str, np.ndarray]) -> tuple[Measure, ...]:
    found = [Measure(key, n=n) for key in METRIC_NAMES]
    for column, values in columns.items():
        present = sorted(set(values.tolist()))
        found += [
            Measure("top1", column, value or BLANK, int((values == value).sum()))
            for value in present
        ]
        if len(present) - ("" in present) == 2:
            found.append(Measure("top1", column, HARMONIC, int((values != "").sum())))
    return tuple(found)


class _Statistic:
    """The figures of one run, in the order of `_measures`, of weighted rows."""

    def __init__(self, outcomes: Outcomes, columns: Mapping[str, np.ndarray]) -> None:
        rank = outcomes.rank
        self._means = np.stack([rank <= 1, rank <= 5, 1 / rank]).astype(np.float64)
        self._answers = Answers(outcomes.truth, outcomes.predicted)
        self._columns = [
            np.unique(values.astype(str), return_inverse=True) for values in columns.values()
        ]

    def __call__(self, weights: np.ndarray) -> list[float]:
        top1, top5, mrr = self._means @ weights / weights.sum()
        figures = [top1, top5, mrr, float(self._answers.counts(weights).f1.mean())]
        for names, codes in self._columns:
            total = np.bincount(codes, weights, len(names))
            hits = np.bincount(codes, weights * self._means[0], len(names))
            with np.errstate(invalid="ignore"):  # a draw may have no row of a group
                shares = hits / total
            figures += shares.tolist()
            two = shares[names != ""]
            if len(two) == 2:
                figures.append(harmonic_mean(*two.tolist()))
        return figures


def comparison_table(comparison: Comparison) -> str:
    """Returns a comparison as lines for people: figures, differences, and what they mean.

    Of more than `SIDE_BY_SIDE` runs each is a line, without intervals.
    """
    brief = len(comparison.names) > SIDE_BY_SIDE
    blocks = [figures_lines(comparison, brief)]
    if len(comparison.names) > 1:
        blocks.append(difference_lines(comparison, brief))
    if brief:
        blocks = [list(zip(*lines, strict=True)) for lines in blocks]
    return "\n\n".join(aligned(lines) for lines in blocks)


def figures_lines(comparison: Comparison, brief: bool = False) -> list[tuple[str, ...]]:
    """Returns a line a measure: what it is, its rows, and its figure for every run."""
    lines = [("", "n", *comparison.names)]
    for place, measure in enumerate(comparison.measures):
        runs = range(len(comparison.names))
        figures = (told(comparison.value(run, place), brief=brief) for run in runs)
        lines.append((measure.label, f"{measure.n:,}", *figures))
    return lines


def difference_lines(comparison: Comparison, brief: bool = False) -> list[tuple[str, ...]]:
    """Returns a line a measure: by how much every run but the first differs from the first."""
    runs = range(1, len(comparison.names))
    lines = [
        (f"less {comparison.names[0]}", *comparison.names[1:]),
    ]
    for place, measure in enumerate(comparison.measures):
        figures = (
            told(comparison.difference(run, place), signed=True, brief=brief) for run in runs
        )
        lines.append((measure.label, *figures))
    counts = (f"{test.only_other:,}, {test.only_one:,}" for test in comparison.tests)
    lines.append(("only this right, only the first", *counts))
    lines.append(("McNemar's p", *(p_value(test.p_value) for test in comparison.tests)))
    return lines


def told(interval: Interval, signed: bool = False, brief: bool = False) -> str:
    """Returns `0.562 [0.520, 0.604]`; differences bear a sign, and a star where 0 is outside."""
    if not np.isfinite(interval.value):
        return "none"
    star = ("*" if interval.low > 0 or interval.high < 0 else " ") if signed else ""
    sign = "+" if signed else ""
    ends = "" if brief else f" [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
    return f"{interval.value:{sign}.3f}{ends}{star}"


def p_value(p: float) -> str:
    """Returns a p value with as many digits as mean something."""
    return "below 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"
