"""`herbzoo list`: the backbones, heads and recipes that are here."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import typer

from herbzoo.errors import HerbzooError
from herbzoo.interfaces import KINDS

RECIPES = "recipes"


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    kind: str
    name: str
    parameters: int | None = None
    pretrained: str = ""
    distribution: str = ""
    version: str = ""
    summary: str = ""
    options: str = ""
    """What `--set` can change of it, with the defaults."""
    problem: str = ""
    """Why the plugin cannot be used; '' for one that can."""


def list_parts(
    kind: Annotated[
        str, typer.Argument(metavar="[backbones|heads|recipes]", help="All three unless told.")
    ] = "",
    pattern: Annotated[
        str, typer.Argument(metavar="[GLOB]", help="Only names that match, such as 'swin*'.")
    ] = "*",
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="How to print it.")
    ] = "table",
) -> None:
    """List the backbones, heads and recipes there are.

    For example: herbzoo list backbones 'swin*' --format csv
    """
    kinds = (*KINDS, RECIPES)
    if kind and kind not in kinds:
        raise HerbzooError(
            f"there are {', '.join(kinds[:-1])} and {kinds[-1]}, but no {kind!r}; "
            f"a pattern comes second, as in `herbzoo list backbones '{kind}'`"
        )
    rows = [row for one in ([kind] if kind else kinds) for row in _rows(one, pattern)]
    if not rows and pattern != "*":
        raise HerbzooError(
            f"no name in {kind} matches {pattern!r}; `herbzoo list {kind}` shows all"
        )
    {"table": _print_table, "csv": _print_csv, "json": _print_json}[form](rows)


def _rows(kind: str, pattern: str) -> Iterator[Row]:
    return _recipe_rows(pattern) if kind == RECIPES else _part_rows(kind, pattern)


def _part_rows(kind: str, pattern: str) -> Iterator[Row]:
    """Yields a row a part; one that is broken says so in its row instead of ending the list."""
    from herbzoo import registry
    from herbzoo.errors import PluginError

    for name in registry.names(kind, pattern):
        try:
            yield Row(**asdict(registry.describe(kind, name)))
        except PluginError as error:
            yield Row(kind, name, problem=str(error))


def _recipe_rows(pattern: str) -> Iterator[Row]:
    """Yields a row a recipe; its summary is the comment in its first line."""
    from herbzoo.recipe_files import shipped_recipes

    for name, path in shipped_recipes().items():
        if not fnmatchcase(name, pattern):
            continue
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        summary = first.lstrip("# ").strip() if first.startswith("#") else ""
        yield Row(RECIPES, name, distribution="herbzoo", summary=summary)


def _print_table(rows: list[Row]) -> None:
    """Prints a table a kind; lines wrap on a terminal and stay whole in a pipe."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000
    for kind in dict.fromkeys(row.kind for row in rows):
        chosen = [row for row in rows if row.kind == kind]
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(f"{kind} ({len(chosen)})", no_wrap=True)
        table.add_column("parameters", justify="right", no_wrap=True)
        table.add_column("pretrained", overflow="fold")
        table.add_column("from", overflow="fold")
        table.add_column("", overflow="fold")
        table.add_column("options" if kind in KINDS else "", overflow="fold")
        for row in chosen:
            table.add_row(*_cells(row))
        with console.capture() as printed:
            console.print(table)
        typer.echo("\n".join(line.rstrip() for line in printed.get().splitlines()) + "\n")


def _cells(row: Row) -> tuple[str, ...]:
    parameters = "" if row.parameters is None else f"{row.parameters / 1e6:.1f} M"
    origin = f"{row.distribution} {row.version}".strip()
    last = f"BROKEN: {row.problem}" if row.problem else row.summary
    return row.name, parameters, row.pretrained, origin, last, row.options


def _print_csv(rows: list[Row]) -> None:
    writer = csv.DictWriter(sys.stdout, [field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)


def _print_json(rows: list[Row]) -> None:
    typer.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
