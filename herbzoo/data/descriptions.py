"""What species look like and are called by people, from a table of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import is_table_path, read_table
from herbzoo.data.records import Collection
from herbzoo.errors import DataError
from herbzoo.taxonomy import DESCRIBING

if TYPE_CHECKING:
    import pandas as pd


def with_descriptions(collection: Collection, table: Path) -> Collection:
    """Adds to the rows what a table says of their species.

    Args:
        collection: named rows.
        table: CSV, TSV, JSON lines or Parquet with a column `scientificName` and `traits`,
            `vernacularName` or both; what it says of a species stands in place of what the rows
            said.

    Raises:
        DataError: if it cannot be read, has none of these columns, says two things of a species,
            or speaks of none that the rows name.
    """
    described = _read(table)
    columns = [name for name in DESCRIBING if name in described]
    if "scientificName" not in described or not columns:
        raise DataError(
            f"{table} has the columns {', '.join(map(str, described.columns))}; it needs "
            f"scientificName and one of {', '.join(DESCRIBING)}"
        )
    described = described[["scientificName", *columns]].drop_duplicates()
    twice = described["scientificName"][described["scientificName"].duplicated()]
    if len(twice):
        raise DataError(f"{table} says two things of {twice.iloc[0]}: keep one row a species")
    by_name = described.set_index("scientificName")
    names = collection.column("scientificName")
    if not names.isin(by_name.index).any():
        raise DataError(
            f"{table} describes none of the species of {collection.name}: it has "
            f"{described['scientificName'].iloc[0] if len(described) else 'no rows'}, the rows "
            f"{names.iloc[0]}"
        )
    frame = collection.frame.copy()
    for column in columns:
        own = frame.get(column, "")
        found = names.map(by_name[column]).fillna("")
        frame[column] = found.where(found != "", own)
    return replace(collection, frame=frame)


def _read(table: Path) -> pd.DataFrame:
    if not is_table_path(table.name):
        raise DataError(
            f"{table} is no table that can be read: give CSV, TSV, JSON lines or Parquet"
        )
    try:
        with table.open("rb") as stream:
            return read_table(stream, str(table), Reading(names_required=False)).fillna("")
    except OSError as error:
        raise DataError(f"cannot read {table}: {error.strerror or error}") from error
