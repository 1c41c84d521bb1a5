"""`herbzoo data convert`: a collection as Parquet shards, for the datasets library and the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.cli.data.describe import Data, NameColumn
from herbzoo.cli.train import Workers


def convert(
    data: Data,
    output: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", help="A new folder, or an interrupted conversion."),
    ],
    shard_size: Annotated[str, typer.Option(help="Bytes of images a file.")] = "500MB",
    image_size: Annotated[
        int | None,
        typer.Option(help="Scale larger images down to this many pixels a side.", min=1),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(help="JPEG quality of images that are scaled or drawn.", min=1, max=100),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out what cannot be read, and list it.")
    ] = False,
    split_column: Annotated[
        str | None, typer.Option(help="Column with train, validation and test.")
    ] = None,
    name_column: NameColumn = None,
    workers: Workers = -1,
) -> None:
    """Write a collection as Parquet files that hold the images, with a dataset card.

    The files of the images are kept as they are unless --image-size is given. The folder can be
    used as --data, loaded with `datasets.load_dataset(folder, streaming=True)` and uploaded with
    `hf upload-large-folder`. Interrupted, the same command goes on where it was.

    For example: herbzoo data convert leaves/ leaves-parquet/ --split-column split
    """
    from herbzoo.data.byte_sizes import parse_bytes

    shard_bytes = parse_bytes(shard_size, "--shard-size")

    from time import monotonic

    from herbzoo.cli.progress import image_progress
    from herbzoo.data.convert import convert as run_conversion
    from herbzoo.data.destination import check_destination
    from herbzoo.data.encoding import Encoding
    from herbzoo.data.readers import open_collection

    check_destination(output)
    began = monotonic()
    collection = open_collection(data, name_column=name_column, skip_bad=skip_bad)
    box = None if image_size is None else (image_size, image_size)
    try:
        with image_progress("converting", len(collection)) as advance:
            made = run_conversion(
                collection,
                output,
                shard_bytes=shard_bytes,
                encoding=Encoding(box, quality),
                skip_bad=skip_bad,
                split_column=split_column,
                workers=workers,
                progress=advance,
            )
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        raise
    if made.left_out:
        column = f"{split_column!r} is neither train, validation nor test"
        typer.echo(f"{made.left_out:,} rows are left out: their {column}", err=True)
    if made.skipped:
        listed = made.folder / "skipped.csv"
        typer.echo(f"{len(made.skipped):,} bad rows are left out, see {listed}", err=True)
    splits = ", ".join(f"{images:,} {split}" for split, images in made.splits.items())
    files = f"{made.shards:,} file{'s' if made.shards != 1 else ''} of {made.bytes / 1e6:,.1f} MB"
    typer.echo(f"wrote {splits} images in {files} to {output} in {monotonic() - began:.0f} s")
