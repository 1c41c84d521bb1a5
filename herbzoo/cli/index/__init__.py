"""`herbzoo index`: sheets that are found by what they look like; a module a verb."""

from __future__ import annotations

import typer

from herbzoo.cli.index import add, build, delete, describe, determine, identify, search

app = typer.Typer()
app.command()(build.build)
app.command()(add.add)
app.command()(search.search)
app.command()(identify.identify)
app.command()(determine.determine)
app.command()(delete.delete)
app.command()(describe.describe)


@app.callback(invoke_without_command=True)
def index(context: typer.Context) -> None:
    """Find sheets by what they look like, and name by them.

    For example: herbzoo index search sheets.index photo.jpg --where "family = 'Fagaceae'"
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
