"""Reading rows of an index: some of them, a sample, or how many there are of each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from herbzoo.index.embedding_table import IMAGE
from herbzoo.index.filters import one_of

if TYPE_CHECKING:
    from lancedb.table import LanceTable


def read(
    table: LanceTable,
    columns: Sequence[str],
    condition: str = "",
    limit: int | None = None,
    offset: int = 0,
) -> pa.Table:
    """Reads columns of the rows that fit a condition, in the order in which they were added."""
    query: Any = table.search().select(list(columns)).limit(limit)
    if condition:
        query = query.where(condition)
    if offset:
        query = query.offset(offset)
    rows: pa.Table = query.to_arrow()
    for place, field in enumerate(rows.schema):
        if field.type == pa.string() and rows.column(place).null_count:  # columns that came later
            rows = rows.set_column(place, field, pc.fill_null(rows.column(place), ""))
    return rows


def sample(
    table: LanceTable, columns: Sequence[str], condition: str, count: int, seed: int
) -> pa.Table:
    """Reads some rows that fit a condition, drawn by chance, each as likely as any other."""
    images = read(table, [IMAGE], condition)[IMAGE]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(images))[:count])
    return read(table, columns, one_of(IMAGE, images.take(chosen).to_pylist()))


def value_counts(table: LanceTable, column: str, condition: str) -> dict[str, int]:
    """Counts the rows of each value of a column, the most frequent first."""
    values = pc.value_counts(read(table, [column], condition)[column])
    pairs = [(one["values"], one["counts"]) for one in values.to_pylist()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
