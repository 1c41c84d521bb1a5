"""`herbzoo novel`: specimens that fit no known species."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from herbzoo.cli.train import Device, Dtype, Workers

if TYPE_CHECKING:
    from herbzoo.curation.novel_results import NovelResults


def novel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    data: Annotated[
        str, typer.Option(help="Specimens in question: folder, table, archive, Hub dataset id.")
    ],
    known: Annotated[
        str, typer.Option(help="Specimens of known species  [default: what RUN was trained on]")
    ] = "",
    output: Annotated[
        Path, typer.Option(help="Folder for the results; one that is there is renewed.")
    ] = Path("novel"),
    false_alarms: Annotated[
        float,
        typer.Option(help="Share of specimens of known species that may be listed as unknown."),
    ] = 0.05,
    score: Annotated[
        str,
        typer.Option(help="How to measure strangeness  [default: what does best on trial]"),
    ] = "",
    top: Annotated[
        int, typer.Option(min=1, help="Cases of each list to show with their evidence.")
    ] = 200,
    seed: Annotated[
        int, typer.Option(min=0, help="Decides which known species are left out on trial.")
    ] = 0,
    batch_size: Annotated[
        int, typer.Option(min=0, help="Images at a time; 0 for what suits the device.")
    ] = 0,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Find the specimens that fit no known species, and group them.

    The rate of false alarms is promised for specimens like the known ones. Images that show no
    plant are listed apart, and so are those of a known species under another's name.

    For example: herbzoo novel runs/leaves --data unsorted/ --output unknown
    """
    from herbzoo.curation.novelty_scores import check_score, require_pytorch_ood
    from herbzoo.errors import HerbzooError

    require_pytorch_ood()
    if score:
        check_score(score)
    if not 0 < false_alarms < 1:
        raise HerbzooError(
            f"a share of {false_alarms} false alarms cannot be promised: give one between 0 and 1"
        )

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.curation.features import FILE_NAME, collection_features
    from herbzoo.curation.image_quality import image_faults
    from herbzoo.curation.known_source import open_known, without_known
    from herbzoo.curation.known_specimens import known_specimens
    from herbzoo.curation.novel_results import KIND, NovelResults
    from herbzoo.curation.novelty import find_novel
    from herbzoo.curation.results_folder import begin_results
    from herbzoo.data.readers import open_images
    from herbzoo.inference import Identifier

    quiet_loading()
    source = open_known(known, run)
    asked = open_images(data, named_by_folders=True)
    rows, left_out = without_known(asked, source.collection)
    identifier = Identifier.from_pretrained(run, device, dtype)
    begin_results(output, KIND, identifier, rows.name)
    say = partial(typer.echo, err=True)
    look = partial(
        collection_features, identifier, batch_size=batch_size, workers=workers, report=say
    )
    learned = look(
        source.collection,
        output / KNOWN_FILE,
        progress=partial(image_progress, "looking at known specimens"),
    )
    specimens = known_specimens(learned, identifier.taxonomy, source.held_of(learned.collection))
    features = look(
        rows, output / FILE_NAME, progress=partial(image_progress, "looking at specimens")
    )
    with image_progress("checking images", len(features)) as advance:
        faults = image_faults(features.collection, workers, advance)
    found = find_novel(
        features,
        specimens,
        taxonomy=identifier.taxonomy,
        faults=faults,
        rate=false_alarms,
        score=score,
        seed=seed,
    )
    results = NovelResults(found, identifier, source.collection.images, source.rule, top, left_out)
    _write(output, results, workers)


KNOWN_FILE = "known-features.parquet"
"""Features of the known specimens, beside those of the images in question."""


def _write(output: Path, results: NovelResults, workers: int) -> None:
    from herbzoo.cli.progress import image_progress

    with image_progress("drawing", results.pictures) as advance:
        dossier = results.write(output, workers=workers, progress=advance)
    typer.echo(results.summary())
    typer.echo(
        f"wrote {output}: novel.csv, clusters.csv, identifications.csv, and dossier.html with the "
        f"evidence about {len(results.cases):,} images ({dossier.stat().st_size / 1e6:.1f} MB)",
        err=True,
    )
    typer.echo(f"next: open {dossier}, or herbzoo demo RUN --review {output}", err=True)
