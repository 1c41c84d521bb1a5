"""`herbzoo data`: look at a collection, and prepare it, before training; a module a verb."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Look at a collection, and prepare it, before training.

    For example: herbzoo data describe leaves/
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
