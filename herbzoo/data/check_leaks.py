"""Checks of a split: does a test row share a specimen, a gathering or a picture with training?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from herbzoo.data.check_images import Looks
from herbzoo.data.findings import ERROR, WARNING, Finding
from herbzoo.data.leaks import Leak, find_leaks
from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.records import Collection
from herbzoo.data.splits import PARTS, Split, by_column

_SAME, _NEAR = "identical picture", "near-duplicate picture"


def split_parts(collection: Collection, column: str | None) -> Split | None:
    """Returns the split that a column makes.

    Args:
        collection: all rows.
        column: the column; by default `split`, if it marks rows as train and as test.

    Raises:
        DataError: if there is no such column, or it marks no train rows.
    """
    if column is not None:
        return by_column(collection, column)
    marked = {normalise_split(value) for value in collection.frame["split"].unique()}
    return by_column(collection, "split") if {"train", "test"} <= marked else None


def leak_findings(collection: Collection, split: Split, looks: Looks | None) -> Iterator[Finding]:
    """Yields what the rows that are tested on share with those that are learned from.

    Args:
        collection: all rows.
        split: its parts, as of `split_parts`.
        looks: what the images tell; without it only the records are compared.
    """
    column = split.rule.removeprefix("column ")
    place = _places_in_parts(collection, column)
    groups = {} if looks is None else {_SAME: looks.exact, _NEAR: looks.near}
    duplicates = {
        kind: [rows for group in found if len(rows := _moved(group, place)) > 1]
        for kind, found in groups.items()
    }
    leaks = find_leaks(split, duplicates=duplicates)
    identical = {(leak.part, leak.test_rows) for leak in leaks if leak.kind == _SAME}
    for leak in leaks:
        if leak.kind == _NEAR and (leak.part, leak.test_rows) in identical:
            continue  # the same files are near-duplicates of one another as well
        yield _finding(leak, column)


def _places_in_parts(collection: Collection, column: str) -> np.ndarray:
    """Returns where each row is when train, validation and test follow each other, or -1."""
    values = collection.column(column)
    parts = values.map({value: normalise_split(value) for value in values.unique()})
    order = np.concatenate([np.flatnonzero((parts == part).to_numpy(bool)) for part in PARTS])
    place = np.full(len(collection), -1)
    place[order] = np.arange(len(order))
    return place


def _moved(group: tuple[int, ...], place: np.ndarray) -> tuple[int, ...]:
    return tuple(row for row in place[list(group)].tolist() if row >= 0)


def _finding(leak: Leak, column: str) -> Finding:
    against = "train or validation" if leak.part == "test" else "train"
    article = "an" if leak.kind[0] in "aeiou" else "a"
    what = (
        f"{leak.test_rows:,} {leak.part} rows ({leak.share:.1%}) share {article} {leak.kind} with "
        f"rows of {against} (column {column})"
    )
    return Finding(
        "leak",
        WARNING if leak.kind == _NEAR else ERROR,
        "; ".join(f"{learned} and {held}" for learned, held in leak.examples[:2]),
        what,
        "split anew with `herbzoo data split`, or leave these rows out of one part",
    )
