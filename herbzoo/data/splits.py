"""Splits of a collection into train, validation and test rows, that do not leak.

One specimen may have several images, and one gathering several specimens: duplicates that went to
different herbaria and often look the same. Neither is ever divided between two parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from herbzoo.data.drawing import held_rows
from herbzoo.data.gatherings import gatherings
from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.records import Collection
from herbzoo.errors import DataError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """A collection in three parts."""

    train: Collection
    validation: Collection
    test: Collection
    left_out: int
    """Rows that are in no part, because their column held another value."""
    rule: str
    """How the parts were found, such as `column cross_domain` or `random, seed 0`."""

    @property
    def unknown_test(self) -> int:
        """Returns how many test rows are of a species that is not in train.

        They stay in `test`: a model cannot name them, and an evaluation that dropped them without
        saying so would flatter it.
        """
        known = self.train.frame["scientificName"].unique()
        return int((~self.test.frame["scientificName"].isin(known)).sum())


def make_split(
    collection: Collection,
    column: str | None,
    seed: int,
    *,
    validation_share: float = 0.1,
    test_share: float = 0.2,
) -> Split:
    """Splits a collection by a column of its own, or at random where it has none.

    With a column, its values say which row is which, and validation rows are held out from train
    if it names none. Without one the column `split` is used if it names both train and test rows;
    otherwise test and validation rows are held out at random. `hold_out` says what that respects.
    A part may be empty, train excepted.

    Args:
        collection: what to split.
        column: the column with values `train`, `validation` (or `val`) and `test`.
        seed: decides the random choices, together with the rows and not with their order.
        validation_share: share of the gatherings of train that are held out for validation.
        test_share: share of all gatherings that are held out for testing.

    Raises:
        DataError: if there is no such column, or it has no train rows.
    """
    if column is None and {"train", "test"} <= set(_parts(collection, "split")):
        column = "split"
    if column is None:
        rest, test = hold_out(collection, test_share, seed)
        # A share of what is left is larger than the same share of the whole.
        train, validation = hold_out(rest, min(0.9, validation_share / (1 - test_share)), seed)
        return Split(train, validation, test, 0, f"random, seed {seed}")
    split = by_column(collection, column)
    if len(split.validation):
        return split
    train, validation = hold_out(split.train, validation_share, seed)
    rule = f"{split.rule}; validation from train at random, seed {seed}"
    return Split(train, validation, split.test, split.left_out, rule)


def by_column(collection: Collection, column: str) -> Split:
    """Splits by the values `train`, `validation` (or `val`) and `test` of a column.

    Capitals do not matter. Rows with any other value are left out and counted.

    Raises:
        DataError: if there is no such column, or it has no train rows; the message says what it
            has.
    """
    parts = _parts(collection, column)
    if not (parts == "train").any():
        counts = parts[parts != ""].value_counts().head(8)
        found = ", ".join(f"{value!r} ({count:,})" for value, count in counts.items()) or "nothing"
        raise DataError(
            f"column {column!r} of {collection.name} has no train rows; it holds {found}, and must "
            "say train, validation (or val) and test"
        )
    train, validation, test = (collection.select((parts == p).to_numpy()) for p in PARTS)
    left_out = int((~parts.isin(PARTS)).sum())
    return Split(train, validation, test, left_out, f"column {column}")


def hold_out(collection: Collection, share: float, seed: int) -> tuple[Collection, Collection]:
    """Takes a share of the gatherings of every species away, at random.

    Images of one specimen and specimens of one gathering go together; `herbzoo.data.gatherings`
    says how they are known. Every species keeps at least one gathering, so one that has a single
    gathering is never held out; the others give up the share of theirs, rounded up or down so that
    the whole comes out right. A gathering whose rows bear several names counts for the most
    frequent of them.

    What is chosen depends on the seed and on the rows, not on their order, and little on one
    another: rows added later do not reshuffle the others.

    Args:
        collection: what to take from.
        share: share of the gatherings to take, from 0 to below 1.
        seed: decides the choice.

    Returns:
        What is kept, and what is held out, each in the order of the collection.

    Raises:
        DataError: if the share is out of range.
    """
    held = held_rows(collection.frame, gatherings(collection.frame), share, seed)
    return collection.select(~held), collection.select(held)


def _parts(collection: Collection, column: str) -> pd.Series:
    values = collection.column(column)
    return values.map({value: normalise_split(value) for value in values.unique()})
