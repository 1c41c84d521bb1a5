"""`herbzoo data check`: what is wrong with a collection."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from herbzoo.cli.data.describe import Data, NameColumn
from herbzoo.cli.train import Workers
from herbzoo.errors import DataError
from herbzoo.whole_file import write_whole

if TYPE_CHECKING:
    from herbzoo.data.findings import Finding
    from herbzoo.data.records import Collection


class FindingsFormat(StrEnum):
    """How findings are written."""

    text = "text"
    csv = "csv"
    json = "json"


def check(
    data: Data,
    split_column: Annotated[
        str | None,
        typer.Option(help="Column with train, validation and test  [default: split, if filled]"),
    ] = None,
    name_column: NameColumn = None,
    format: Annotated[FindingsFormat, typer.Option(help="What to write.")] = FindingsFormat.text,
    output: Annotated[
        Path | None, typer.Option(help="File for the findings  [default: the terminal]")
    ] = None,
    no_images: Annotated[
        bool,
        typer.Option(
            "--no-images",
            help="Open no image; a table or Darwin Core Archive may then have records without one.",
        ),
    ] = False,
    workers: Workers = -1,
) -> None:
    """Find what is wrong with names, records, images and the split of a collection.

    Nothing is changed. The exit code is 1 if there are errors, and 0 if there are warnings or notes
    at most.

    For example: herbzoo data check leaves/ --split-column cross_domain --format csv --output f.csv
    """
    if output is not None and output.is_dir():
        raise DataError(f"{output} is a folder: give --output a file")

    from herbzoo.data.destination import check_destination

    if output is not None:
        check_destination(output)

    from herbzoo.cli.progress import image_progress
    from herbzoo.data.check import check as find
    from herbzoo.data.findings import ERROR, counted

    collection = _open(data, name_column, no_images)
    findings = find(
        collection,
        split_column=split_column,
        images=not no_images,
        workers=workers,
        progress=image_progress,
    )
    text = _written(findings, collection, format)
    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
        if format is not FindingsFormat.text:
            typer.echo(counted(findings), err=True)
    else:
        write_whole(output, text.removesuffix("\n") + "\n")
        typer.echo(f"{counted(findings)}; wrote {output}")
    if any(finding.severity == ERROR for finding in findings):
        raise typer.Exit(1)


def _open(data: str, name_column: str | None, no_images: bool) -> Collection:
    """Opens what is to be checked; what cannot be read of it is among the findings."""
    from herbzoo.data.readers import open_collection
    from herbzoo.data.readers.tables import is_table_path
    from herbzoo.data.record_table import is_record_archive, open_records

    path = Path(data).expanduser()
    if no_images and ((path.is_file() and is_table_path(path.name)) or is_record_archive(path)):
        return open_records(path, name_column)
    return open_collection(data, name_column=name_column, skip_bad=True)


def _written(findings: tuple[Finding, ...], collection: Collection, format: FindingsFormat) -> str:
    import csv
    import io
    import json

    from herbzoo.data.findings import COLUMNS, SEVERITIES, findings_text

    if format is FindingsFormat.text:
        return findings_text(findings)
    if format is FindingsFormat.csv:
        stream = io.StringIO()
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(finding.to_dict() for finding in findings)
        return stream.getvalue()
    images = collection.frame["image"].tolist()
    listed = [
        {**finding.to_dict(), "images": [images[row] for row in finding.rows]}
        for finding in findings
    ]
    counts = {name: sum(f.severity == name for f in findings) for name in SEVERITIES}
    document = {"data": collection.name, "rows": len(images), "counts": counts, "findings": listed}
    return json.dumps(document, ensure_ascii=False, indent=1)
