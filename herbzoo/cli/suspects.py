"""`herbzoo suspects`: sheets whose name is doubtful, with the evidence."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from herbzoo.cli.train import Device, Dtype, Workers

if TYPE_CHECKING:
    from herbzoo.curation.suspect_results import SuspectResults
    from herbzoo.data.records import Collection


def suspects(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    data: Annotated[
        str, typer.Option(help="Sheets with their names: folder, table, archive, Hub dataset id.")
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for the results; one that is there is renewed.")
    ] = Path("suspects"),
    top: Annotated[
        int, typer.Option(min=1, help="Doubtful names to show with their evidence.")
    ] = 200,
    least: Annotated[
        float,
        typer.Option(min=0, max=1, help="Suspicion from which on a name is listed as doubtful."),
    ] = 0.5,
    taxonomy: Annotated[
        str, typer.Option(help="Table of accepted names and synonyms, such as WCVP.")
    ] = "",
    name_column: Annotated[
        str | None, typer.Option(help="Column with the names  [default: scientificName]")
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            help="What `herbzoo embed` made of DATA, in place of the backbone's features."
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=0, help="Parts that are judged by the others; 0 chooses.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Decides which gathering is in which part.")] = 0,
    batch_size: Annotated[
        int, typer.Option(min=0, help="Images at a time; 0 for what suits the device.")
    ] = 0,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Rank the sheets whose name is doubtful, with the evidence.

    Each name is judged by all sheets of other gatherings. Writes tables, Darwin Core
    identifications, and dossier.html to work through; determinations of people are left alone.

    For example: herbzoo suspects runs/leaves --data sheets/ --output doubtful
    """
    from herbzoo.curation.confident import require_cleanlab

    require_cleanlab()

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.curation.features import FILE_NAME, collection_features, embedded_features
    from herbzoo.curation.results_folder import begin_results
    from herbzoo.curation.suspect_results import KIND, SuspectResults
    from herbzoo.curation.suspects import find_suspects
    from herbzoo.inference import Identifier

    quiet_loading()
    collection, accepted = _open(data, name_column, taxonomy)
    identifier = Identifier.from_pretrained(run, device, dtype)
    begin_results(output, KIND, identifier, collection.name)
    if embeddings is not None:
        features = embedded_features(identifier, collection, embeddings)
    else:
        _warn_of_memory(run, data)
        features = collection_features(
            identifier,
            collection,
            output / FILE_NAME,
            batch_size=batch_size,
            workers=workers,
            progress=partial(image_progress, "looking at sheets"),
            report=partial(typer.echo, err=True),
        )
    found = find_suspects(
        features,
        accepted=accepted,
        known=identifier.taxonomy,
        folds=folds,
        most=top,
        seed=seed,
        workers=workers,
        progress=partial(image_progress, "judging names"),
        scratch=output,
    )
    results = SuspectResults(found, identifier, top, least)
    _write(output, results, workers, len(features.failures))


def _open(
    data: str, name_column: str | None, taxonomy: str
) -> tuple[Collection, Collection | None]:
    """Opens the rows that have a name; and the same under accepted names, if there is a table."""
    from herbzoo.data.readers import open_images
    from herbzoo.errors import DataError
    from herbzoo.recipe import DataRecipe
    from herbzoo.source import with_names

    collection = open_images(data, named_by_folders=True, name_column=name_column)
    named = (collection.frame["scientificName"] != "").to_numpy()
    if not named.any():
        raise DataError(
            f"{collection.name} has no names to doubt: give a table with scientificName, or use "
            "`herbzoo identify` to name its images"
        )
    if not named.all():
        unnamed = int((~named).sum())
        typer.echo(f"{unnamed:,} images without a name are left out", err=True)
        collection = collection.select(named)
    if not taxonomy:
        return collection, None
    return collection, with_names(collection, DataRecipe(source=data, taxonomy=taxonomy))


def _warn_of_memory(run: str, data: str) -> None:
    """Says so where a backbone may have learned the very names in question by heart."""
    from herbzoo.evaluation.rows import recipe_over

    recipe = recipe_over(Path(run), data)
    if recipe is not None and not recipe.training.freeze_backbone:
        typer.echo(
            f"{run} was trained on these very sheets, and its backbone may have learned wrong "
            "names by heart: one trained with --freeze-backbone, or on other sheets, finds more",
            err=True,
        )


def _write(output: Path, results: SuspectResults, workers: int, unreadable: int) -> None:
    from herbzoo.cli.progress import image_progress

    with image_progress("drawing", results.pictures) as advance:
        dossier = results.write(output, workers=workers, unreadable=unreadable, progress=advance)
    typer.echo(results.summary())
    typer.echo(
        f"wrote {output}: suspects.csv, identifications.csv, conflicts.csv, and dossier.html with "
        f"the evidence about {len(results.shown):,} names ({dossier.stat().st_size / 1e6:.1f} MB)",
        err=True,
    )
    typer.echo(f"next: open {dossier}, or herbzoo demo RUN --review {output}", err=True)
