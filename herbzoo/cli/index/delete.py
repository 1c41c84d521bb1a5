"""`herbzoo index delete`: rows that a filter chooses."""

from __future__ import annotations

from typing import Annotated

import typer

from herbzoo.cli.index.options import Index


def delete(
    index: Index,
    where: Annotated[str, typer.Option(help="Which: \"institutionCode = 'NY'\".")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many there are.")
    ] = False,
) -> None:
    """Delete rows of an index.

    For example: herbzoo index delete sheets.index --where "catalogNumber in ('B 10', 'B 11')"
    """
    from herbzoo.index import SpecimenIndex

    opened = SpecimenIndex.open(index)
    if dry_run:
        typer.echo(f"{index}: {sum(opened.counts('image', where).values()):,} rows would go")
        return
    gone = opened.delete(where)
    typer.echo(f"{index}: {gone:,} rows deleted, {len(opened):,} are left")
