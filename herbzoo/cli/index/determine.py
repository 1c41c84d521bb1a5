"""`herbzoo index determine`: new names for sheets, from a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.cli.index.options import Index


def determine(
    index: Index,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="DETERMINATIONS",
            help="CSV with scientificName, and image, occurrenceID or catalogNumber.",
        ),
    ],
) -> None:
    """Give sheets of an index the names they were determined as.

    Further columns: institutionCode, scientificNameAuthorship, genus, family, taxonID,
    identifiedBy, dateIdentified (today if blank). The old name goes to previousIdentifications.

    The decisions.csv of a review is such a table.

    For example: herbzoo index determine sheets.index determinations.csv
    """
    from herbzoo.index import SpecimenIndex
    from herbzoo.index.determination_table import read_determinations

    opened = SpecimenIndex.open(index)
    done = opened.determine(read_determinations(table))
    typer.echo(f"{index}: {done.rows:,} rows have their new determination")
    for what, sheets in (("not in the index", done.unknown), ("of several sheets", done.ambiguous)):
        if sheets:
            more = ", ..." if len(sheets) > 5 else ""
            first = ", ".join(sheets[:5])
            typer.echo(f"{len(sheets):,} left out, {what}: {first}{more}", err=True)
