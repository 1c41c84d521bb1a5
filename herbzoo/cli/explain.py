"""`herbzoo explain`: where a model looked, a figure an image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import DataError, HerbzooError, RunError
from herbzoo.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from herbzoo.data.zones import Zone
    from herbzoo.explanations.explanation import Explanation

FILE_NAME = "explanations.csv"
UNREADABLE = "unreadable.csv"
_LONGEST = 100
"""Letters of an image's name that its figure keeps."""


def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images, folders, tables, archives.")
    ],
    output: Annotated[Path, typer.Option(help=f"Folder for a PNG an image and {FILE_NAME}.")],
    taxon: Annotated[
        str | None, typer.Option(help="Explain this taxon  [default: each image's best]")
    ] = None,
    method: Annotated[
        Literal["auto", "map", "pixels"],
        typer.Option(
            help="From the model's last map, coarse; or from the pixels, fine and slower."
        ),
    ] = "auto",
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Show where the model looked, and how much of it was on labels.

    explanations.csv has the share of attention on each zone and, to compare, its share of the area.
    A zone smaller than a cell of the map takes from what is around it: then try --method pixels.

    For example: herbzoo explain runs/leaves sheets/ --output looked/
    """
    _check(output)

    from herbzoo.cli.progress import image_progress, quiet_loading
    from herbzoo.data.inputs import collect_images
    from herbzoo.data.zones import find_zones
    from herbzoo.explanations.explainer import Explainer, class_of
    from herbzoo.explanations.figure import write_figure
    from herbzoo.image_batches import Failure
    from herbzoo.inference import Identifier

    quiet_loading()
    collection = collect_images(images)
    collection = collection.select(~collection.frame.duplicated(["image"]))
    identifier = Identifier.from_pretrained(run, device, dtype)
    if taxon is not None:
        class_of(identifier.taxonomy, taxon)
    explainer = Explainer(identifier, method)
    output.mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    failures: list[list[str]] = []
    taken: set[str] = {FILE_NAME, UNREADABLE}
    with image_progress("explaining", len(collection)) as advance:
        for found in explainer.explained(collection, taxon, workers):
            if isinstance(found, Failure):
                failures.append([found.key, found.reason])
                typer.echo(f"{found.key}: {found.reason}", err=True)
            else:
                zones = find_zones(found.image, found.domain)
                figure = _name(found.key, taken)
                write_figure(output / figure, found, zones)
                rows.append(_row(found, zones, figure))
            advance(1)
    if not rows:
        first = ": ".join(failures[0])
        raise DataError(f"none of the {len(collection):,} images can be read; the first: {first}")
    typer.echo(f"wrote {_write(output / FILE_NAME, _header(), rows)}", err=True)
    if failures:
        listed = _write(output / UNREADABLE, ["image", "reason"], failures)
        share = f"{len(failures):,} of {len(collection):,} images"
        typer.echo(f"{share} could not be read, listed in {listed}", err=True)


def _check(output: Path) -> None:
    """Refuses what cannot work, before anything is loaded."""
    if output.exists() and not output.is_dir():
        raise HerbzooError(f"{output} is a file: give --output a folder")
    if (output / FILE_NAME).exists():
        raise RunError(f"{output} has {FILE_NAME} already: choose another --output")


def _header() -> list[str]:
    from herbzoo.explanations.explanation import PARTS

    columns = ["image", "figure", "scientificName", "score", "method"]
    return [*columns, *PARTS, *(f"{part}_area" for part in PARTS), "padding"]


def _row(found: Explanation, zones: Sequence[Zone], figure: str) -> list[str]:
    """Returns the line of an image; without zones, or without a map, the shares are empty."""
    from herbzoo.explanations.explanation import PARTS, zone_shares

    shares = zone_shares(found, zones)
    attention = [_number(shares.attention[part]) if zones else "" for part in PARTS]
    area = [_number(shares.area[part]) if zones else "" for part in PARTS]
    name = found.taxon.scientificName
    head = [found.key, figure, name, _number(found.score), found.method]
    return [*head, *attention, *area, _number(found.padding)]


def _number(share: float) -> str:
    return f"{share:.6f}" if share == share else ""


def _name(key: str, taken: set[str]) -> str:
    """Returns a name for the figure of an image that no other figure has, and takes it."""
    stem = re.sub(r"[^\w.-]+", "_", Path(key).stem).strip("._")[:_LONGEST] or "image"
    number = 1
    name = f"{stem}.png"
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}.png"
    taken.add(name.casefold())
    return name


def _write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    from herbzoo.identification_output import csv_text, printable

    return write_whole(path, printable(csv_text([header, *rows])))
