"""Indexes on the columns that people filter by, so that a filter costs a millisecond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from herbzoo.index.embedding_table import FINGERPRINT, IMAGE

if TYPE_CHECKING:
    from lancedb.table import LanceTable

FEW = 5_000
"""A column of up to so many different values gets a bitmap for each."""
ORDERED = (
    IMAGE,
    "occurrenceID",
    "catalogNumber",
    "recordedBy",
    "recordNumber",
    "eventDate",
    "scientificName",
    "taxonID",
    "locality",
)
"""Columns of many different values that are worth a sorted index."""


def index_columns(table: LanceTable) -> None:
    """Makes the indexes that are not there yet; columns without any value get none."""
    from lancedb.index import Bitmap, BTree

    there = {name for config in table.list_indices() for name in config.columns}
    for field in table.schema:
        if field.type != pa.string() or field.name in (*there, FINGERPRINT):
            continue
        if field.name in (IMAGE, "occurrenceID"):  # rows are looked up by these
            table.create_index(field.name, config=BTree())
            continue
        values = _distinct(table, field.name)
        if values <= 1:
            continue
        if values <= FEW:
            table.create_index(field.name, config=Bitmap())
        elif field.name in ORDERED:
            table.create_index(field.name, config=BTree())


def _distinct(table: LanceTable, column: str) -> int:
    """Counts different values, and stops above `FEW`."""
    seen: set[str] = set()
    for batch in table.search().select([column]).to_batches():
        seen.update(batch.column(column).unique().to_pylist())
        if len(seen) > FEW:
            break
    return len(seen)
