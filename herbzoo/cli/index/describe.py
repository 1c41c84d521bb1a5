"""`herbzoo index describe`: what an index holds and how it is searched."""

from __future__ import annotations

from typing import Annotated

import typer

from herbzoo.cli.index.options import Index, Where


def describe(
    index: Index,
    count: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Count the rows of each value of a column.")
    ] = None,
    where: Where = "",
) -> None:
    """Say what an index holds and how it is searched.

    For example: herbzoo index describe sheets.index --count family
    """
    from herbzoo.errors import HerbzooError
    from herbzoo.index import SpecimenIndex

    opened = SpecimenIndex.open(index)
    if count is None:
        if where:
            raise HerbzooError("--where goes with --count: name a column to count")
        typer.echo(opened.describe())
        return
    for value, rows in opened.counts(count, where).items():
        typer.echo(f"{rows:>9,}  {value or '(blank)'}")
