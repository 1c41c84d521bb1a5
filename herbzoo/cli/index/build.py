"""`herbzoo index build`: an index of a file of embeddings."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from herbzoo.cli.index.options import Embeddings
from herbzoo.errors import HerbzooError


def build(
    embeddings: Embeddings,
    index: Annotated[
        str, typer.Argument(metavar="INDEX", help="New folder, or URL (s3://bucket/index).")
    ],
    data: Annotated[
        str | None, typer.Option(help="The collection, for thumbnails; as given to embed.")
    ] = None,
    thumbnails: Annotated[
        Literal["kept", "linked", "none"] | None,
        typer.Option(
            help="Kept in the index, made from --data when asked for, or none  "
            "[default: kept with --data, else none]"
        ),
    ] = None,
) -> None:
    """Build a specimen index of a file of embeddings.

    Interrupted, run it again: it goes on where it was. Up to 20,000 rows every vector is looked at;
    above, the index measures on itself how much of an exact search it finds.

    For example: herbzoo index build sheets.parquet sheets.index --data sheets/
    """
    from herbzoo.cli.progress import image_progress
    from herbzoo.data.readers import open_images
    from herbzoo.index import EmbeddingTable, SpecimenIndex

    how = thumbnails or ("none" if data is None else "kept")
    if how == "none" and data is not None:
        raise HerbzooError("--data is for thumbnails: leave it out, or --thumbnails none")
    table = EmbeddingTable.open(embeddings)
    images = open_images(data).images if data is not None and how == "kept" else None
    with image_progress("indexing", len(table)) as advance:
        made = SpecimenIndex.create(
            index, embeddings, images=images, thumbnails=how, data=data or "", progress=advance
        )
    typer.echo(made.describe())
