"""`herbzoo evaluate`: how well a trained model names the images of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import HerbzooError, RunError

if TYPE_CHECKING:
    from herbzoo.data.records import Collection
    from herbzoo.data.zone_table import ZoneTable
    from herbzoo.evaluation.protocols import Trial, Verdict
    from herbzoo.evaluation.report import LeftOut, Picture
    from herbzoo.inference import Identifier


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    data: Annotated[str, typer.Option(help="Folder, table, archive, Hub dataset id, `synthetic`.")],
    split_column: Annotated[
        str | None,
        typer.Option(
            help="Column whose value `test` marks the rows  [default: those that the training held "
            "out, else split, else all]"
        ),
    ] = None,
    group_by: Annotated[
        list[str] | None, typer.Option(help="Also report by this column; repeatable.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read.")
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            help="standard, cross_domain, leave_one_institution_out, zero_shot, open_set, retrieval"
        ),
    ] = "standard",
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write metrics.json and per_class.csv, no figures.")
    ] = False,
    leak_audit: Annotated[
        bool,
        typer.Option(
            "--leak-audit",
            help="Also name the herbarium sheets by the plant alone and by the margins alone, and "
            "probe the embedding for the institution.",
        ),
    ] = False,
    zones: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSON of label, barcode and colour card boxes (hespi, LeafMachine2) for "
            "the audit  [default: find them]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for metrics.json, figures and report.html  [default: RUN]"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 32,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Measure how well a model names images; writes a report.

    Nothing is chosen on test rows: temperature and thresholds come from validation rows.

    For example: herbzoo evaluate runs/leaves --data leaves/ --group-by basisOfRecord --leak-audit
    """
    folder = _folder(run, output)
    if zones is not None and not leak_audit:
        raise HerbzooError("--zones are boxes for --leak-audit: give both, or leave --zones out")

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.evaluation.evaluate import metrics_table, write_metrics
    from herbzoo.evaluation.gallery import training_sheets
    from herbzoo.evaluation.per_class import write_per_class
    from herbzoo.evaluation.protocols import Trial
    from herbzoo.evaluation.protocols import protocol as named
    from herbzoo.evaluation.report import write_report
    from herbzoo.evaluation.rows import held_out, marked_rows, open_for, train_rows
    from herbzoo.inference import Identifier

    quiet_loading()
    measure = named(protocol)
    collection = open_for(data, Path(run), skip_bad=skip_bad)
    known = held_out(collection, Path(run)) if split_column is None else None
    if known is not None:  # whatever the data say of test rows, these it has not learned from
        chosen, train, split = known.test, known.train, "test"
        which = f"the rows that the training held out ({known.rule})"
    else:
        chosen, which = marked_rows(collection, column=split_column)
        train, split = train_rows(collection, split_column), "test"
        if chosen is collection:  # nothing in the data says what to test on
            split = "all"
            if output is None and (folder / "metrics.json").exists():
                raise RunError(
                    f"{data} does not say which rows are for testing, and some may have been "
                    f"trained on: give --output DIR, so that {folder} keeps its own metrics.json"
                )
    for column in group_by or ():
        chosen.column(column)
    table = _zones(chosen, zones) if leak_audit else None
    typer.echo(f"evaluating on {which}: {len(chosen):,} images", err=True)
    identifier = Identifier.from_pretrained(run, device, dtype)
    trial = Trial(
        identifier,
        chosen,
        train,
        split,
        group_by or (),
        batch_size,
        workers,
        embeddings=not no_report,
        progress=image_progress,
    )
    verdict = measure(trial)
    metrics = verdict.metrics
    typer.echo(metrics_table(metrics))
    if leak_audit:
        metrics["leak_audit"] = _audit(identifier, chosen, table, folder, batch_size, workers)
    more = [] if no_report else _looked(trial, verdict, folder)
    typer.echo(f"wrote {write_metrics(folder, metrics)}", err=True)
    typer.echo(f"wrote {write_per_class(folder, verdict.evaluated)}", err=True)
    if not no_report:
        report = write_report(
            folder,
            verdict.evaluated,
            metrics,
            run=Path(run),
            train=train,
            gallery=lambda: verdict.gallery or training_sheets(trial),
            before=verdict.evaluated.uncalibrated,
            thresholds=_answered(metrics.get("selective", {})),
            more=more,
        )
        typer.echo(f"wrote {report}", err=True)


def _looked(trial: Trial, verdict: Verdict, folder: Path) -> list[Picture | LeftOut]:
    """Explains some images, and adds what zones the model looked at to the metrics."""
    from herbzoo.evaluation.attention import looked
    from herbzoo.evaluation.figures.look import NothingToDraw
    from herbzoo.evaluation.report import LeftOut, Picture

    title = "Where the model looked"
    try:
        found = looked(
            trial.identifier,
            verdict.evaluated,
            folder / "figures",
            trial.progress,
            workers=trial.workers,
        )
    except NothingToDraw as reason:
        return [LeftOut(title, str(reason))]
    if found.shares:
        verdict.metrics["looked_at"] = found.shares
    return [Picture(title, path, caption) for path, caption in found.figures]


def _answered(selective: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Returns the coverage and the risk of each promise under which something was answered."""
    return {
        f"{name} promised": (found["coverage"], 1 - found["precision"])
        for name, found in selective.items()
        if found["precision"] is not None
    }


def _zones(chosen: Collection, path: Path | None) -> ZoneTable | None:
    """Reads the boxes, and finds out before the work whether there is anything to audit."""
    from herbzoo.data.zone_table import read_zones
    from herbzoo.evaluation.leak_audit import audited_rows

    audited_rows(chosen)
    return None if path is None else read_zones(path)


def _audit(
    identifier: Identifier,
    chosen: Collection,
    zones: ZoneTable | None,
    folder: Path,
    batch_size: int,
    workers: int,
) -> dict[str, Any]:
    """Audits, shows the table and draws the figure."""
    from herbzoo.cli.progress import image_progress
    from herbzoo.data.masking import VIEWS
    from herbzoo.evaluation.leak_audit import audit_table, audited_rows, leak_audit
    from herbzoo.evaluation.leak_figure import write_figure

    pictures = len(VIEWS) * len(audited_rows(chosen))
    with image_progress("auditing", pictures) as advance:
        audit = leak_audit(
            identifier,
            chosen,
            zones=zones,
            batch_size=batch_size,
            workers=workers,
            progress=advance,
        )
    typer.echo(f"\n{audit_table(audit)}")
    typer.echo(f"wrote {write_figure(folder / 'figures', audit, chosen, zones)}", err=True)
    return audit


def _folder(run: str, output: Path | None) -> Path:
    """Returns where the metrics go, which is worth knowing before the work."""
    folder = Path(run) if output is None else output
    if output is None and not folder.is_dir():
        raise RunError(f"{run} is no folder here to write metrics.json into: give --output DIR")
    if folder.exists() and not folder.is_dir():
        raise HerbzooError(f"{folder} is a file: give --output a folder")
    return folder
