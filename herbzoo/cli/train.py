"""`herbzoo train`: from a collection to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from herbzoo.errors import HerbzooError

Device = Annotated[str, typer.Option(help="cpu, cuda, mps, ...; auto takes what is there.")]
Workers = Annotated[int, typer.Option(help="Processes that decode images; -1 for one a core.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]


def train(
    backbone: Annotated[
        str | None, typer.Option(help="Name of a backbone; `herbzoo list backbones`.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="Name of a head; `herbzoo list heads`.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder, table, archive, Hub dataset id, or `synthetic`.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Run folder  [default: runs/BACKBONE-HEAD]")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe file, or a name of `herbzoo list recipes`.")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option(help="Column with train, validation and test.")
    ] = None,
    group_by: Annotated[
        list[str] | None, typer.Option(help="Also report the metrics by this column; repeatable.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimiser steps, over epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a batch.")] = None,
    image_size: Annotated[
        str | None, typer.Option(help="Pixels: a side, or HEIGHTxWIDTH for portrait sheets.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate of the head.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything that is random.")] = None,
    no_pretrained: Annotated[
        bool, typer.Option("--no-pretrained", help="Start the backbone from random weights.")
    ] = False,
    corrections: Annotated[
        str | None,
        typer.Option(help="Decisions about names (decisions.csv of a review) to apply first."),
    ] = None,
    freeze_backbone: Annotated[
        bool,
        typer.Option("--freeze-backbone", help="Compute features once, train neck and head."),
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out and list rows and images that are broken."),
    ] = False,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Read a Hub data set as it is needed.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --output.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other key of the recipe: training.patience=3."),
    ] = None,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Train a model and evaluate it on the test rows.

    For example:

    herbzoo train --backbone efficientnet_lite0 --head arcface --data leaves/ --output runs/leaves

    herbzoo train --output runs/leaves --resume
    """
    flags: dict[str, Any] = {
        "backbone": backbone,
        "head": head,
        "data.source": data,
        "output": output,
        "data.split_column": split_column,
        "data.group_by": group_by or None,
        "training.epochs": epochs,
        "training.max_steps": max_steps,
        "training.batch_size": batch_size,
        "image.size": _size(image_size),
        "training.lr": lr,
        "seed": seed,
        "backbone.pretrained": False if no_pretrained else None,
        "training.freeze_backbone": True if freeze_backbone else None,
        "data.corrections": corrections,
        "data.skip_bad": True if skip_bad else None,
        "data.streaming": True if streaming else None,
    }
    if resume:
        if output is not None:
            from herbzoo.run_folder import RunFolder

            RunFolder(Path(output)).claim(resume=True)  # says so if there is nothing to go on with
        started = _interrupted(recipe, output)
        recipe = str(started) if started is not None else recipe
    from herbzoo.recipe import compose

    composed = compose(recipe, settings or [], flags)  # before torch: mistakes answer at once

    from herbzoo.cli.progress import quiet_loading
    from herbzoo.prepared import Hardware
    from herbzoo.processes import is_first
    from herbzoo.training import train as run_training

    quiet_loading()
    try:
        result = run_training(
            composed,
            resume=resume,
            hardware=Hardware(device, workers, dtype),
            report=lambda line: typer.echo(line, err=True),
        )
    except KeyboardInterrupt:
        if (Path(composed.output) / ".training").is_dir():
            again = f"herbzoo train --output {composed.output} --resume"
            typer.echo(f"interrupted; go on with: {again}", err=True)
        raise
    if result.metrics is not None:
        from herbzoo.evaluation.evaluate import metrics_table

        typer.echo(metrics_table(result.metrics))
    if is_first():
        typer.echo(f"wrote {_shown(result.run)} in {result.seconds:.0f} s")


def _size(text: str | None) -> int | list[int] | None:
    if text is None:
        return None
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise HerbzooError(f"--image-size takes a side or HEIGHTxWIDTH in pixels, not {text!r}")
    return sides[0] if len(sides) == 1 else sides


def _interrupted(recipe: str | None, output: str | None) -> Path | None:
    """Returns the recipe of the run to go on with, unless the user gives one."""
    if recipe is not None or output is None:
        return None
    kept = Path(output) / ".training" / "recipe.yaml"
    return kept if kept.is_file() else None


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
