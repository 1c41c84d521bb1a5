"""`herbzoo embed`: the embeddings of a collection, with its records, in one Parquet file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from herbzoo.cli.train import Device, Dtype, Workers

if TYPE_CHECKING:
    from herbzoo.index.embed import EmbeddingSummary


def embed(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    data: Annotated[
        str, typer.Option(help="Folder, table, archive, Hub dataset id, URL of storage (s3://...).")
    ],
    output: Annotated[
        str, typer.Option(help="Parquet file or its URL; goes on with one that is there.")
    ],
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="This machine, or a Ray cluster (RAY_ADDRESS)."),
    ] = "local",
    batch_size: Annotated[
        int, typer.Option(min=0, help="Images at a time; 0 for what suits the device.")
    ] = 0,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Embed images into one Parquet file, with their records.

    Run it again after an interruption, or when images were added or changed: only what is missing
    is embedded. Unreadable images are listed beside the file.

    For example: herbzoo embed runs/leaves --data sheets/ --output sheets.parquet
    """
    from herbzoo.data.storage import is_url

    if not is_url(output):
        from herbzoo.data.destination import check_destination

        check_destination(Path(output).expanduser())
    if engine == "ray":
        from herbzoo.index.ray_engine import require_ray

        require_ray()

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.readers import open_images
    from herbzoo.index.embed import Engine, embed_collection
    from herbzoo.index.embedding_table import EmbeddingModel
    from herbzoo.inference import Identifier

    quiet_loading()
    collection = open_images(data, named_by_folders=True)
    # With Ray, the device is one of the cluster.
    identifier = Identifier.from_pretrained(run, "cpu" if engine == "ray" else device, dtype)
    model = EmbeddingModel.of(identifier)
    embedding: Engine = partial(identifier.embedded, batch_size=batch_size, workers=workers)
    if engine == "ray":
        from herbzoo.index.ray_engine import RayEngine

        embedding = RayEngine(identifier, device, dtype, batch_size, workers)
    summary = embed_collection(
        collection,
        embedding,
        model,
        output,
        progress=partial(image_progress, "embedding"),
        report=partial(typer.echo, err=True),
    )
    _report(summary, output, model.dimension)


def _report(summary: EmbeddingSummary, output: str, dimension: int) -> None:
    from herbzoo.identification_file import FAILURES_SUFFIX

    before = f", {summary.reused:,} were there already" if summary.reused else ""
    typer.echo(
        f"{output}: {summary.rows:,} rows with embeddings of {dimension} numbers "
        f"({summary.embedded:,} images embedded now{before})"
    )
    if summary.failures:
        count = len(summary.failures)
        what = "image could" if count == 1 else "images could"
        typer.echo(f"{count:,} {what} not be read, listed in {output}{FAILURES_SUFFIX}", err=True)
