"""`herbzoo evaluate`: how well a trained model names the images of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import HerbzooError, RunError


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    data: Annotated[str, typer.Option(help="Folder, table, archive, Hub dataset id, `synthetic`.")],
    split_column: Annotated[
        str | None,
        typer.Option(
            help="Column whose value `test` marks the rows  [default: split, else those that the "
            "training held out, else all]"
        ),
    ] = None,
    group_by: Annotated[
        list[str] | None, typer.Option(help="Also report by this column; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for metrics.json  [default: RUN]")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 32,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Measure top-1, top-5, MRR and macro-F1, overall and by column.

    For example: herbzoo evaluate runs/leaves --data leaves/ --group-by basisOfRecord
    """
    folder = _folder(run, output)

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.readers import open_collection
    from herbzoo.evaluation.evaluate import evaluate as measure
    from herbzoo.evaluation.evaluate import (
        held_out,
        metrics_table,
        rows_to_test,
        train_rows,
        write_metrics,
    )
    from herbzoo.inference import Identifier

    quiet_loading()
    collection = open_collection(data)
    chosen, which = rows_to_test(collection, split_column)
    train, split = train_rows(collection, split_column), "test"
    if split_column is None and chosen is collection:  # nothing in the data says what to test on
        known = held_out(collection, Path(run))
        if known is not None:
            chosen, train = known.test, known.train
            which = "the rows that the training held out"
        else:
            split = "all"
            if output is None and (folder / "metrics.json").exists():
                raise RunError(
                    f"{data} does not say which rows are for testing, and some may have been "
                    f"trained on: give --output DIR, so that {folder} keeps its own metrics.json"
                )
    for column in group_by or ():
        chosen.column(column)
    typer.echo(f"evaluating on {which}: {len(chosen):,} images", err=True)
    identifier = Identifier.from_pretrained(run, device, dtype)
    with image_progress("evaluating", len(chosen)) as advance:
        metrics = measure(
            identifier,
            chosen,
            split=split,
            group_by=group_by or (),
            train=train,
            batch_size=batch_size,
            workers=workers,
            progress=advance,
        )
    typer.echo(metrics_table(metrics))
    typer.echo(f"wrote {write_metrics(folder, metrics)}", err=True)


def _folder(run: str, output: Path | None) -> Path:
    """Returns where the metrics go, which is worth knowing before the work."""
    folder = Path(run) if output is None else output
    if output is None and not folder.is_dir():
        raise RunError(f"{run} is no folder here to write metrics.json into: give --output DIR")
    if folder.exists() and not folder.is_dir():
        raise HerbzooError(f"{folder} is a file: give --output a folder")
    return folder
