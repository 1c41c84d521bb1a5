"""`herbzoo index search`: the sheets that look most like some images."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from herbzoo.cli.index.options import Index, Run, Where, model_for
from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import DataError, HerbzooError


def search(
    index: Index,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images, folders, tables, archives.")
    ],
    run: Run = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Sheets for each image.")] = 10,
    where: Where = "",
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="How to write it.")
    ] = "table",
    exact: Annotated[
        bool, typer.Option("--exact", help="Look at every vector, however many there are.")
    ] = False,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Find the sheets that look most like some images, nearest first.

    Filters compare columns with values: =, !=, <, <=, >, >=, in, like, between, is blank, joined by
    and, or, not. Text goes in single quotes.

    For example: herbzoo index search sheets.index photo.jpg --where "eventDate < '1900'"
    """
    from herbzoo.cli.answers import tolerant_stdout
    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.inputs import collect_images
    from herbzoo.index import SpecimenIndex
    from herbzoo.index.search_output import SearchFormat

    quiet_loading()
    opened = SpecimenIndex.open(index)
    opened.check_filter(where)
    if not len(opened):
        raise HerbzooError(f"{index} is empty: add rows to it with `herbzoo index add`")
    collection = collect_images(images)
    identifier = model_for(opened, run, device, dtype)
    writing = SearchFormat(form, opened.columns)
    tolerant_stdout()
    failures = 0
    first = ""
    with image_progress("searching", len(collection), sys.stdout.isatty()) as advance:
        sys.stdout.write(writing.header())
        for found in opened.by_image(
            identifier, collection, k, where, exact=exact, workers=workers
        ):
            if found.problem:
                failures += 1
                first = first or f"{found.image}: {found.problem}"
                typer.echo(f"{found.image}: {found.problem}", err=True)
            else:
                sys.stdout.write(writing.text(found))
                sys.stdout.flush()
            advance(1)
    if failures == len(collection):
        raise DataError(f"none of the {failures:,} images can be read; the first: {first}")
