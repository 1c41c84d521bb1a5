"""`herbzoo index identify`: taxa by the sheets that look alike."""

from __future__ import annotations

import sys
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
from herbzoo.cli.index.options import Index, Run, Where, model_for
from herbzoo.cli.train import Device, Dtype, Workers

if TYPE_CHECKING:
    from herbzoo.identification_file import IdentificationFile


def identify(
    index: Index,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images, folders, tables, archives.")
    ],
    run: Run = None,
    top_k: Annotated[int, typer.Option(min=1, help="Candidates for each image.")] = 5,
    rank: Annotated[
        Literal["species", "genus", "family"], typer.Option(help="Sum the scores to this rank.")
    ] = "species",
    where: Where = "",
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
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Name what images show by the sheets that look most alike.

    A species that was added with a few sheets is known at once. It is judged by its 3 nearest
    sheets, so that many sheets of another do not outvote it. Scores are no probabilities.

    For example: herbzoo index identify sheets.index photos/ --output names.csv
    """
    form = form or form_of(output)
    refuse_early(output, resume, form)

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.inputs import collect_images
    from herbzoo.index import SpecimenIndex
    from herbzoo.index.image_search import identified
    from herbzoo.index.neighbours import NeighbourRanking

    quiet_loading()
    opened = SpecimenIndex.open(index)
    ranking = NeighbourRanking(opened, rank, 1 if form == "dwc" else top_k, where)
    collection = collect_images(images)
    collection = collection.select(~collection.frame.duplicated(["image", "occurrenceID"]))
    identifier = model_for(opened, run, device, dtype)
    among = f" where {where}" if where.strip() else ""
    maker = f"{opened.model.source} by neighbours in {index}{among}"
    writing = output_format(form, maker, ranking, collection, False, "nearest sheets")
    sink: Screen | IdentificationFile = Screen(writing)
    rest, answered = collection, 0
    if output is not None:
        sink, rest, answered = open_file(output, writing, resume, collection, False)
    silent = output is None and sys.stdout.isatty()
    with image_progress("identifying", len(rest), silent) as advance, sink:
        for batch in identified(ranking, identifier, rest, workers=workers):
            sink.add(batch)
            answered += sum(not found.problem for found in batch)
            advance(len(batch))
    report_failures(sink.failures, len(collection), answered, output)
