"""`herbzoo data describe`: what a collection holds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from herbzoo.errors import DataError

Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help="Folder, table, archive, Hub dataset id, or `synthetic`."),
]
NameColumn = Annotated[
    str | None, typer.Option(help="Column with the names, if it is not found by itself.")
]

FILE_NAME = "description.json"


class DescriptionFormat(StrEnum):
    """How a description is printed."""

    text = "text"
    json = "json"


def describe(
    data: Data,
    split_column: Annotated[
        str | None, typer.Option(help="Column with train, validation and test  [default: split]")
    ] = None,
    name_column: NameColumn = None,
    format: Annotated[DescriptionFormat, typer.Option(help="What to print.")] = (
        DescriptionFormat.text
    ),
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for description.json and class_distribution.png."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read, and count them.")
    ] = False,
) -> None:
    """Count what a collection holds: species, domains, institutions, pairs, licences, the tail.

    For example: herbzoo data describe leaves/ --split-column cross_domain --output leaves-described
    """
    if output is not None and output.exists() and not output.is_dir():
        raise DataError(f"{output} is a file: give --output a folder")

    import json

    from herbzoo.data.describe import describe as count
    from herbzoo.data.description_text import description_text
    from herbzoo.data.destination import check_destination
    from herbzoo.data.readers import open_collection

    if output is not None:
        check_destination(output)
    collection = open_collection(data, name_column=name_column, skip_bad=skip_bad)
    description = count(collection, split_column)
    if format is DescriptionFormat.json:
        typer.echo(json.dumps(description.to_dict(), ensure_ascii=False, indent=1))
    else:
        typer.echo(description_text(description))
    if output is not None:
        from herbzoo.data.class_figure import write_class_figure
        from herbzoo.run_folder import write_json

        output.mkdir(parents=True, exist_ok=True)
        write_json(output / FILE_NAME, description.to_dict())
        written = [str(output / FILE_NAME)]
        if description.species:
            written.append(str(write_class_figure(description, output)))
        typer.echo(f"wrote {' and '.join(written)}", err=True)
