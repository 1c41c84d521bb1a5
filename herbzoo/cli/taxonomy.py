"""`herbzoo taxonomy`: names resolved with a table, and models put under other names."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from herbzoo.errors import DataError

if TYPE_CHECKING:
    from herbzoo.name_table import NameTable
    from herbzoo.remap import Remap
    from herbzoo.resolution import Resolution

app = typer.Typer()

Table = Annotated[
    Path,
    typer.Option(
        help="Accepted names and synonyms: WFO, WCVP, GBIF backbone or LCVP as downloaded, or "
        "columns scientificName,acceptedName."
    ),
]
TableVersion = Annotated[
    str, typer.Option(help="What to call its version  [default: a digest of the file]")
]
SHOWN = 10


@app.callback(invoke_without_command=True)
def taxonomy(context: typer.Context) -> None:
    """Resolve names with a table of synonyms; remap a trained model.

    For example: herbzoo taxonomy resolve names.txt --table wcvp_names.csv
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("resolve")
def resolve_names(
    names: Annotated[
        str,
        typer.Argument(metavar="NAMES|DATA", help="Text file with a name a line, or a collection."),
    ],
    table: Table,
    table_version: TableVersion = "",
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="How to print it.")
    ] = "table",
) -> None:
    """Say what a table makes of each name: accepted, synonym, unplaced, ambiguous, unmatched.

    A summary goes to stderr. Nothing is guessed: homonyms without an author are ambiguous, and
    other spellings are only suggested.

    For example: herbzoo taxonomy resolve leaves/ --table wcvp_names.csv --format csv
    """
    wanted = _names_of(names)

    from herbzoo.resolution import count_statuses, resolve

    read = _load(table, wanted, table_version)
    resolutions = resolve(wanted, read)
    {"table": _print_table, "csv": _print_csv, "json": _print_json}[form](resolutions)
    counts = ", ".join(f"{n:,} {status}" for status, n in count_statuses(resolutions).items())
    typer.echo(f"{len(wanted):,} names by {read.title} {read.version}: {counts}", err=True)


@app.command()
def remap(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    table: Table,
    output: Annotated[
        Path | None, typer.Option(help="The new run folder; needed unless --dry-run.")
    ] = None,
    table_version: TableVersion = "",
    on_ambiguous: Annotated[
        Literal["keep", "error"],
        typer.Option(help="What to do with names that may stand for several: keep them, or stop."),
    ] = "keep",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Put a trained model under the accepted names of a table: a model goes in, one comes out.

    Names that became one are one class, whose probability is exactly the sum; the weights stay as
    they are. A name that was split cannot be told apart and is kept.

    For example: herbzoo taxonomy remap runs/leaves --table wcvp_names.csv --output runs/leaves-2026
    """
    if output is None and not dry_run:
        raise DataError(
            "say where the new run goes with --output DIR, or look first with --dry-run"
        )

    from herbzoo.build import folder_of
    from herbzoo.cli.progress import quiet_loading
    from herbzoo.remap import check_settled, plan_remap, taxon_names, write_remapped
    from herbzoo.taxonomy import Taxonomy

    quiet_loading()
    before = Taxonomy.load(folder_of(run))
    plan = plan_remap(before, _load(table, taxon_names(before), table_version))
    typer.echo(_report(plan))
    if on_ambiguous == "error":
        check_settled(plan)
    if output is not None and not dry_run:
        write_remapped(run, plan, output)
        typer.echo(f"wrote {output}", err=True)


def _names_of(names: str) -> list[str]:
    path = Path(names).expanduser()
    if path.is_file() and path.suffix.lower() in (".txt", ".text", ""):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{names} is not UTF-8: convert it with iconv") from error
        found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    else:
        from herbzoo.data.name_resolution import full_names
        from herbzoo.data.readers import open_collection

        found = full_names(open_collection(names))
    if not found:
        raise DataError(f"{names} holds no names")
    return found


def _load(path: Path, wanted: Iterable[str], version: str) -> NameTable:
    from herbzoo.name_table import NameTable

    with _row_count(path.name) as advance:
        return NameTable.load(path, wanted, version=version, progress=advance)


@contextmanager
def _row_count(name: str) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how many rows have been read, as nobody knows how many there are."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda rows: None
        return
    with console.status(f"reading {name}") as status:
        done = 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            status.update(f"reading {name}: {done:,} rows")

        yield advance


def _print_table(resolutions: list[Resolution]) -> None:
    rows = [
        (one.text, one.status, f"{one.accepted} {one.authorship}".strip(), one.family, _remark(one))
        for one in resolutions
    ]
    heads = ("name", "status", "accepted name", "family", "")
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(4)]
    for row in [heads, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[4]]).rstrip())


def _remark(one: Resolution) -> str:
    near = f"; like it: {', '.join(one.suggestions)}" if one.suggestions else ""
    return one.reason + near


def _print_csv(resolutions: list[Resolution]) -> None:
    columns = [
        *("name", "status", "acceptedName", "scientificNameAuthorship", "taxonID", "family"),
        *("genus", "reason", "candidates", "suggestions"),
    ]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for one in resolutions:
        values = [one.text, one.status, one.accepted, one.authorship, one.id, one.family, one.genus]
        writer.writerow([*values, one.reason, "|".join(one.candidates), "|".join(one.suggestions)])


def _print_json(resolutions: list[Resolution]) -> None:
    typer.echo(json.dumps([asdict(one) for one in resolutions], indent=2, ensure_ascii=False))


def _report(plan: Remap) -> str:
    """Returns what changes, as lines for people."""
    counts = ", ".join(f"{n:,} {status}" for status, n in plan.counts.items())
    lines = [f"{len(plan.before):,} classes become {len(plan.after):,}: {counts}"]
    lines += _listing(
        "lumped, probabilities add up",
        [f"{' + '.join(old)} -> {new}" for new, old in plan.lumped.items()],
    )
    members = {name for old in plan.lumped.values() for name in old}
    alone = {old: new for old, new in plan.renamed.items() if old not in members}
    lines += _listing("renamed", [f"{old} -> {new}" for old, new in alone.items()])
    lines += _listing("kept", [f"{one.text} ({one.status}: {_remark(one)})" for one in plan.kept])
    return "\n".join(lines)


def _listing(title: str, items: list[str]) -> list[str]:
    more = [f"  and {len(items) - SHOWN:,} more"] if len(items) > SHOWN else []
    return [f"{title}: {len(items):,}", *(f"  {item}" for item in items[:SHOWN]), *more]
