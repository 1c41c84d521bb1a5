"""Splits of a collection into train, validation and test rows, that do not leak.

One specimen may have several images, and one gathering several specimens: duplicates that went to
different herbaria and often look the same. Neither is ever divided between two parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.records import Collection
from herbzoo.errors import DataError

PARTS = ("train", "validation", "test")

_NOBODY = (
    "unknown",
    "unknown collector",
    "anonymous",
    "anon.",
    "s.coll.",
    "nil",
    "none",
    "n/a",
    "na",
)
"""What stands for the want of a collector, in lower case; a number without a digit is none."""


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

    Rows of one `occurrenceID`, of one image, or of one gathering (the same `recordedBy`,
    `recordNumber` and `eventDate`, with a collector and a number) go together. Every species keeps
    at least one gathering, so one that has a single gathering is never held out; the others give up
    the share of theirs, rounded up or down so that the whole comes out right. A gathering whose
    rows bear several names counts for the most frequent of them.

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
    if not 0 <= share < 1:
        raise DataError(f"a share of {share} cannot be held out; it must be from 0 to below 1")
    if share == 0 or not len(collection):
        nothing = np.zeros(len(collection), dtype=bool)
        return collection.select(~nothing), collection.select(nothing)
    held = _held_rows(collection.frame, share, seed)
    return collection.select(~held), collection.select(held)


def gatherings(frame: pd.DataFrame) -> np.ndarray:
    """Returns a number for every row, the same for rows that must not be divided.

    See `hold_out` for what joins rows; joins chain, so that two images of one sheet and its
    duplicate elsewhere are one gathering.
    """
    rows, keys, count = [], [], 0
    for values in (frame["image"], frame["occurrenceID"], _gathering_key(frame)):
        codes, distinct = pd.factorize(values)
        present = np.flatnonzero((values != "").to_numpy())
        rows.append(present)
        keys.append(codes[present] + count)
        count += len(distinct)
    row, key = np.concatenate(rows), np.concatenate(keys)
    size = len(frame) + count
    edges = coo_array((np.ones(len(row), np.int8), (row, key + len(frame))), shape=(size, size))
    return connected_components(edges, directed=False)[1][: len(frame)]


def _parts(collection: Collection, column: str) -> pd.Series:
    values = collection.column(column)
    return values.map({value: normalise_split(value) for value in values.unique()})


def _gathering_key(frame: pd.DataFrame) -> pd.Series:
    collector, number = frame["recordedBy"], frame["recordNumber"]
    named = collector.str.contains(r"\w", regex=True) & ~collector.str.lower().isin(_NOBODY)
    numbered = number.str.contains(r"\d", regex=True)
    key = collector + "\n" + number + "\n" + frame["eventDate"]
    return key.where(named & numbered, "")


def _held_rows(frame: pd.DataFrame, share: float, seed: int) -> np.ndarray:
    group = gatherings(frame)
    species, names = pd.factorize(frame["scientificName"], sort=True)
    rows = pd.DataFrame({"group": group, "species": species})
    order = _draw(frame["image"].groupby(group).min(), seed)
    pairs = rows.value_counts().rename("images").reset_index()
    pairs["order"] = order.to_numpy()[pairs["group"]]

    # The last gathering in the drawn order stays, whichever of its species it stays for.
    kept = pairs.loc[pairs.groupby("species")["order"].idxmax(), "group"]
    homes = pairs.sort_values(["images", "species"], ascending=[False, True])
    homes = homes.drop_duplicates("group").sort_values(["species", "order"])
    quota = _quotas(homes.groupby("species").size(), names, share, seed)
    homes = homes[~homes["group"].isin(kept)]
    rank = homes.groupby("species").cumcount()
    taken = homes.loc[rank < homes["species"].map(quota), "group"]
    return np.isin(group, taken.to_numpy())


def _quotas(sizes: pd.Series, names: pd.Index, share: float, seed: int) -> pd.Series:
    """Returns how many gatherings each species gives up.

    Each number is `share * size` rounded up or down, by rounding the running sum over the species
    in a drawn order: so the whole is right, and rare species take their turns at being tested.
    """
    several = sizes[sizes > 1]
    drawn = _draw(pd.Series(names[several.index], index=several.index), seed)
    several = several.iloc[np.argsort(drawn.to_numpy(), kind="stable")]
    # A tiny addition keeps sums such as 0.1 + 0.2 on their side of a half.
    steps = np.floor(np.cumsum(several.to_numpy() * share) + 0.5 + 1e-9)
    return pd.Series(np.diff(steps, prepend=0.0), index=several.index).reindex(
        sizes.index, fill_value=0.0
    )


def _draw(keys: pd.Series, seed: int) -> pd.Series:
    """Returns the place of each key in an order that depends on the seed and the keys alone."""
    hashes = pd.util.hash_array(
        keys.to_numpy(dtype=object), hash_key=f"{seed % 10**16:016d}", categorize=False
    )
    places = np.empty(len(keys), dtype=np.int64)
    places[np.argsort(hashes, kind="stable")] = np.arange(len(keys))
    return pd.Series(places, index=keys.index)
