"""`herbzoo calibrate`: how far the scores of a trained model can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import DataError, RunError


def calibrate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder.")],
    data: Annotated[str, typer.Option(help="Folder, table, archive, Hub dataset id, `synthetic`.")],
    split_column: Annotated[
        str | None,
        typer.Option(
            help="Column whose value `validation` marks the rows  [default: those that the "
            "training validated on, else split, else all]"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 32,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Measure how far a model's scores can be trusted.

    Learns the temperature of its softmax, and from which score on answers keep a promised
    precision; writes both to RUN/calibration.json. Training does so by itself with its validation
    rows. Give labelled images like those that you want identified, none of which the model was
    trained on: a hundred or more.

    For example: herbzoo calibrate runs/leaves --data my-photos/
    """
    folder = Path(run)
    if not folder.is_dir():
        raise RunError(
            f"{run} is no run folder here to write calibration.json into: fetch one from the Hub "
            "with `hf download ORG/NAME --local-dir DIR`"
        )

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.evaluation.calibrate import calibrate as learn
    from herbzoo.evaluation.calibrate import drawn
    from herbzoo.evaluation.evaluate import SHOWN
    from herbzoo.evaluation.rows import held_out, marked_rows, open_for
    from herbzoo.inference import Identifier

    quiet_loading()
    collection = open_for(data, folder)
    known = held_out(collection, folder) if split_column is None else None
    if known is not None:
        chosen, which = known.validation, f"validation rows ({known.rule})"
    else:
        chosen, which = marked_rows(collection, "validation", split_column)
    if not len(chosen):
        raise DataError(f"the training of {run} validated on no rows of {data}: give other data")
    identifier = Identifier.from_pretrained(run, device, dtype)
    with image_progress("calibrating", len(drawn(chosen, len(identifier.taxonomy)))) as advance:
        found = learn(
            identifier, chosen, which, batch_size=batch_size, workers=workers, progress=advance
        )
    path = found.save(folder)
    typer.echo(
        f"temperature {found.temperature:.3f} on {found.rows:,} {which}: calibration error "
        f"{found.before['ece']:.3f} -> {found.after['ece']:.3f}"
    )
    for name in SHOWN:
        bounds = ", ".join(f"{rank} from {p:.3f}" for rank, p in found.promises[name].items())
        typer.echo(f"precision {name}: {bounds or 'too few rows to promise it at any rank'}")
    typer.echo(f"wrote {path}", err=True)
