"""`herbzoo index add`: new and changed rows of a file of embeddings."""

from __future__ import annotations

from typing import Annotated

import typer

from herbzoo.cli.index.options import Embeddings, Index


def add(
    index: Index,
    embeddings: Embeddings,
    data: Annotated[
        str | None, typer.Option(help="The collection, for thumbnails of an index that keeps them.")
    ] = None,
) -> None:
    """Add new rows to an index and replace changed ones.

    They are found at once. Determinations made in the index stay.

    For example: herbzoo index add sheets.index new-sheets.parquet --data new-sheets/
    """
    from herbzoo.cli.progress import image_progress
    from herbzoo.data.readers import open_images
    from herbzoo.index import EmbeddingTable, SpecimenIndex

    opened = SpecimenIndex.open(index)
    table = EmbeddingTable.open(embeddings)
    images = open_images(data).images if data is not None else None
    with image_progress("adding", len(table)) as advance:
        added = opened.add(embeddings, images=images, progress=advance)
    repeated = f", {added.repeated:,} left out as their image came before" * bool(added.repeated)
    typer.echo(
        f"{index}: {added.new:,} rows added, {added.changed:,} replaced, {added.same:,} were there "
        f"already{repeated}; it has {len(opened):,} now"
    )
