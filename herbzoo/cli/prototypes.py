"""`herbzoo prototypes`: a trained model that scores by class means, or knows further species."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.cli.train import Device, Workers


def prototypes(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    data: Annotated[str, typer.Option(help="Images of the species; what --data of train takes.")],
    output: Annotated[Path, typer.Option(help="The new run folder.")],
    add: Annotated[
        bool,
        typer.Option(
            "--add", help="Add the species that RUN does not know; those it knows are as before."
        ),
    ] = False,
    name_column: Annotated[
        str | None, typer.Option(help="Column with the names  [default: scientificName]")
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(help="Decisions about names (decisions.csv of a review) to apply first."),
    ] = None,
    device: Device = "auto",
    workers: Workers = -1,
) -> None:
    """Score a model's species by class means, or add species to it.

    Nothing is trained: a model goes in, a model comes out, which scores by the mean embedding of a
    species' images. With --add, a handful of sheets of a species makes it one that is known.

    For example: herbzoo prototypes runs/leaves --data new-sheets/ --add --output runs/leaves-2
    """
    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.readers import open_collection
    from herbzoo.prototypes import add_species, fit_prototypes

    quiet_loading()
    collection = open_collection(data, name_column=name_column)
    if corrections is not None:
        from herbzoo.data.corrections import correct_collection
        from herbzoo.data.decisions import read_decisions

        collection, counts = correct_collection(collection, read_decisions(corrections))
        typer.echo(f"names corrected by {corrections.name}: {counts}", err=True)
    with image_progress("embedding", len(collection)) as advance:
        done = 0

        def progress(now: int, total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        change = add_species if add else fit_prototypes
        change(run, collection, output, device=device, workers=workers, progress=progress)
    typer.echo(f"wrote {output}", err=True)
