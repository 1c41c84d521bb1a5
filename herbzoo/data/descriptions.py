"""What species look like and are called by people, from a table of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from herbzoo.data.records import Collection
from herbzoo.errors import DataError
from herbzoo.taxonomy import DESCRIBING

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


def with_descriptions(collection: Collection, table: Path) -> Collection:
    """Adds to the rows what a table says of their species.

    Args:
        collection: named rows.
        table: CSV, TSV or Parquet with a column `scientificName` and `traits`, `vernacularName` or
            both; what it says of a species stands in place of what the rows said.

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
    import pandas as pd

    ending = table.suffix.lower()
    try:
        if ending == ".parquet":
            return pd.read_parquet(table).fillna("").astype(str)
        if ending not in SEPARATORS:
            known = ", ".join([*SEPARATORS, ".parquet"])
            raise DataError(f"{table} is no table that can be read; those end in {known}")
        return pd.read_csv(
            table, sep=SEPARATORS[ending], dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:  # what pandas and pyarrow raise for a broken file
        raise DataError(f"cannot read {table}: {' '.join(str(error).split())}") from error
