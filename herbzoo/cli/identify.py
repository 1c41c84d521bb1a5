"""`herbzoo identify`: ranked taxa for images, folders, tables and archives."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from herbzoo.cli.answers import (
    Form,
    Screen,
    form_of,
    open_file,
    output_format,
    refuse_early,
    report_failures,
)
from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import HerbzooError

if TYPE_CHECKING:
    from herbzoo.data.taxa_list import TaxaList
    from herbzoo.identification_file import IdentificationFile
    from herbzoo.inference import Identifier


def identify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Images, folders, tables, archives.")
    ],
    top_k: Annotated[int, typer.Option(min=1, help="Candidates for each image.")] = 5,
    rank: Annotated[
        Literal["species", "genus", "family"] | None,
        typer.Option(help="Sum the scores to this rank  [default: species, or the rank of --taxa]"),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            help="Answer once, at the deepest rank at which this share of answers is right (0.95), "
            "else `unknown`; needs a calibrated RUN."
        ),
    ] = None,
    taxa: Annotated[
        Path | None,
        typer.Option(
            help="Choose among these taxa, seen in training or not: a name a line, or a table with "
            "scientificName; needs a RUN whose head reads names."
        ),
    ] = None,
    by_specimen: Annotated[
        bool,
        typer.Option("--by-specimen", help="Average over the images of one occurrenceID."),
    ] = False,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format", help="How to write it  [default: table, or by the ending of --output]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file; unreadable images go beside it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an --output that was interrupted.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 32,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Say which taxa images show, best first.

    Scores are the model's softmax, at the temperature of its calibration if it has one. A promise
    of precision holds for images like those that the model was calibrated on. With --taxa they are
    shared among the taxa listed, and not calibrated: an image of anything else still gets a name.

    For example: herbzoo identify runs/leaves sheets/ --by-specimen --output names.csv
    """
    form = form or form_of(output)
    refuse_early(output, resume, form)
    if precision is not None and rank not in (None, "species"):
        raise HerbzooError("--precision chooses the rank by itself: leave out --rank")
    if precision is not None and taxa is not None:
        raise HerbzooError(
            "--precision cannot be promised among --taxa, as it was measured among the taxa of the "
            "run: leave out one of the two"
        )

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.inputs import collect_images
    from herbzoo.data.taxa_list import read_taxa
    from herbzoo.inference import Identifier

    quiet_loading()
    taxa_list = None if taxa is None else read_taxa(taxa)
    collection = collect_images(paths)
    collection = collection.select(~collection.frame.duplicated(["image", "occurrenceID"]))
    identifier = Identifier.from_pretrained(run, device, dtype)
    maker, answered = run.rstrip("/") or run, str(rank or "species")
    if taxa_list is not None:
        answered, among = _aim(identifier, taxa_list, rank)
        maker = f"{maker} among {among}"
    ranking = identifier.ranking(answered, 1 if form == "dwc" else top_k, precision)
    writing = output_format(form, maker, ranking, collection, identifier.calibration is not None)
    sink: Screen | IdentificationFile = Screen(writing)
    rest, identified = collection, 0
    if output is not None:
        sink, rest, identified = open_file(output, writing, resume, collection, by_specimen)
    # On a terminal the answers themselves are the progress.
    silent = output is None and sys.stdout.isatty()
    with image_progress("identifying", len(rest), silent) as advance, sink:
        for batch in identifier.identify(
            rest, ranking, by_specimen=by_specimen, batch_size=batch_size, workers=workers
        ):
            sink.add(batch)
            identified += sum(not found.problem for found in batch)
            advance(sum(len(found.files) for found in batch))
    report_failures(sink.failures, len(collection), identified, output)


def _aim(identifier: Identifier, listed: TaxaList, rank: str | None) -> tuple[str, str]:
    """Aims a model at a list; returns the rank to answer at, and how the answers call the list."""
    from herbzoo.cli.progress import image_progress
    from herbzoo.retargeting import digest_of, rank_asked, retarget

    for note in retarget(identifier, listed, partial(image_progress, "encoding names")):
        typer.echo(note, err=True)
    taxonomy = identifier.taxonomy
    return rank_asked(taxonomy, rank), f"{len(taxonomy)} taxa ({digest_of(taxonomy)})"
