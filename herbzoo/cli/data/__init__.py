"""`herbzoo data`: look at a collection, and prepare it, before training; a module a verb."""

from __future__ import annotations

import typer

from herbzoo.cli.data import check, convert, describe, fetch, leaks, split

app = typer.Typer()
app.command()(convert.convert)
app.command()(describe.describe)
app.command()(check.check)
app.command()(fetch.fetch)
app.command()(split.split)
app.command()(leaks.leaks)


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Look at a collection, and prepare it, before training.

    For example: herbzoo data describe leaves/
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
