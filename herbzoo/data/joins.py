"""Rows that belong together for some reason, and what the reasons together make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Join:
    """Some rows of a table, and for each a key: rows of one key belong together."""

    kind: str
    """What they have in common, such as `specimen`."""
    rows: np.ndarray
    """Positions; a row may come several times, with several keys."""
    keys: np.ndarray
    """A whole number for each of `rows`."""


def join_values(kind: str, values: pd.Series) -> Join:
    """Joins rows of one value; a row whose value is empty is joined to none."""
    rows = np.flatnonzero((values != "").to_numpy())
    return Join(kind, rows, pd.factorize(values.to_numpy()[rows])[0])


def join_groups(kind: str, groups: Iterable[Sequence[int]]) -> Join:
    """Joins rows that somebody else found to belong together."""
    listed = [np.asarray(group, dtype=np.int64) for group in groups]
    if not listed:
        return Join(kind, np.empty(0, np.int64), np.empty(0, np.int64))
    sizes = [len(group) for group in listed]
    return Join(kind, np.concatenate(listed), np.repeat(np.arange(len(listed)), sizes))


def connected(joins: Iterable[Join], size: int) -> np.ndarray:
    """Returns a number for each row, the same for rows that joins connect, directly or not."""
    rows, keys, count = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for join in joins:
        if len(join.rows):
            rows.append(join.rows)
            keys.append(join.keys + count)
            count += int(join.keys.max()) + 1
    row, key = np.concatenate(rows), np.concatenate(keys)
    nodes = size + count
    edges = coo_array((np.ones(len(row), np.int8), (row, key + size)), shape=(nodes, nodes))
    numbers = connected_components(edges, directed=False)[1][:size]
    return np.unique(numbers, return_inverse=True)[1]


def groups_of(numbers: np.ndarray) -> list[tuple[int, ...]]:
    """Returns the rows of each number that several rows have, first rows first."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    parts = np.split(order, starts[1:])
    return sorted(tuple(part.tolist()) for part in parts if len(part) > 1)
