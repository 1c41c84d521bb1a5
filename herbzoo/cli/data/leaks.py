"""`herbzoo data leaks`: what a split lets through from train to test."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from herbzoo.cli.data.describe import Data, NameColumn
from herbzoo.cli.data.duplicates import Cosine, Embedding, Images, find_duplicates
from herbzoo.cli.data.split_output import write_split
from herbzoo.cli.train import Device, Dtype, Workers
from herbzoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from herbzoo.data.duplicates import Groups
    from herbzoo.data.splits import Split


class Drop(StrEnum):
    """Which rows of a leak go."""

    test = "test"
    train = "train"


def leaks(
    data: Data,
    split_column: Annotated[
        str, typer.Option(help="Column with train, validation and test.")
    ] = "split",
    images: Images = False,
    embedding: Embedding = None,
    cosine: Cosine = 0.94,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the split without what leaks: a table in DATA, or a new folder."),
    ] = None,
    drop: Annotated[
        Drop, typer.Option(help="With --output, which side of a leak to leave out.")
    ] = Drop.test,
    name_column: NameColumn = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read.")
    ] = False,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Report what test rows share with the rows that are learned from.

    Compared are specimen, image file, catalogue number and gathering, and images where asked.

    For example: herbzoo data leaks leaves/ --split-column cross_domain --images
    """
    import numpy as np

    from herbzoo.data.leaks import joined, without_leaks
    from herbzoo.data.readers import open_collection
    from herbzoo.data.split_table import check_output
    from herbzoo.data.splits import PARTS, by_column

    collection = open_collection(data, name_column=name_column, skip_bad=skip_bad)
    split = by_column(collection, split_column)
    if not len(split.test) and not len(split.validation):
        raise DataError(
            f"column {split_column!r} of {data} has neither test nor validation rows: none can leak"
        )
    if output is not None:
        check_output(collection, output)
    duplicates = find_duplicates(
        joined(split),
        images=images,
        embedding=embedding,
        cosine=cosine,
        device=device,
        workers=workers,
        dtype=dtype,
    )
    told = ", ".join(f"{len(getattr(split, part)):,} {part}" for part in PARTS)
    typer.echo(f"{split.rule}: {told} rows, {split.left_out:,} in no part")
    typer.echo(leak_report(split, duplicates))
    if output is None:
        return
    clean, gone = without_leaks(split, duplicates=duplicates, drop=drop.value)
    typer.echo(f"left out {gone:,} rows that leak")
    sizes = [len(getattr(clean, part)) for part in PARTS]
    write_split(joined(clean), np.repeat(PARTS, sizes), output, workers=workers)


def leak_report(split: Split, duplicates: Mapping[str, Groups]) -> str:
    """Returns what a split leaks as lines for people."""
    from herbzoo.data.gatherings import CATALOGUE, GATHERING, IMAGE, SPECIMEN
    from herbzoo.data.leaks import find_leaks, leaking_rows

    found = find_leaks(split, duplicates=duplicates)
    kinds = (SPECIMEN, IMAGE, CATALOGUE, GATHERING, *duplicates)
    silent = [kind for kind in kinds if kind not in {leak.kind for leak in found}]
    lines = []
    for leak in found:
        learned = "train or validation" if leak.part == "test" else "train"
        lines.append(
            f"LEAK  {leak.kind}: {leak.test_rows:,} {leak.part} rows ({leak.share:.1%}) have a "
            f"counterpart in {learned}, {leak.pairs:,} pairs"
        )
        lines += [f"        {one} ~ {other}" for one, other in leak.examples]
    if found and len(split.test):
        rows = leaking_rows(split, duplicates=duplicates)
        lines.append(f"in all, {rows:,} of {len(split.test):,} test rows leak")
    if silent:
        lines.append(f"no leak by {', '.join(silent)}")
    return "\n".join(lines)
