"""`herbzoo data split`: train, validation and test rows that share no specimen and no gathering."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from herbzoo.cli.data.describe import Data, NameColumn
from herbzoo.cli.data.duplicates import Cosine, Embedding, Images, find_duplicates, renumbered
from herbzoo.cli.data.leaks import leak_report
from herbzoo.cli.data.split_output import write_split
from herbzoo.cli.train import Device, Dtype, Workers

if TYPE_CHECKING:
    import numpy as np

    from herbzoo.data.records import Collection
    from herbzoo.data.strategies import SplitPlan


class By(StrEnum):
    """What a split goes by; choosing images at random would leak, so it is not offered."""

    gathering = "gathering"
    institution = "institution"
    species = "species"
    genus = "genus"


def split(
    data: Data,
    by: Annotated[
        By, typer.Option(help="What is held out: a share of the gatherings, or whole groups.")
    ] = By.gathering,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="Institution, species or genus to hold out; repeatable."),
    ] = None,
    test_share: Annotated[
        float, typer.Option(help="Share of the gatherings, species or genera to test on.")
    ] = 0.2,
    validation_share: Annotated[
        float, typer.Option(help="Share of the gatherings to validate on.")
    ] = 0.1,
    seen_share: Annotated[
        float,
        typer.Option(
            help="By species or genus: share of the seen ones' gatherings to test on too."
        ),
    ] = 0.0,
    least_train: Annotated[
        int, typer.Option(help="Gatherings that every species keeps in train.", min=1)
    ] = 1,
    least_test: Annotated[
        int, typer.Option(help="Gatherings of every species to test, if it has enough.", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Decides what is drawn.")] = 0,
    images: Images = False,
    embedding: Embedding = None,
    cosine: Cosine = 0.94,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Table (.csv, .tsv, .jsonl, .parquet) in DATA or above it, or a new folder, which "
            "gets the images too; either is --data for train  [default: only report]"
        ),
    ] = None,
    name_column: NameColumn = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read.")
    ] = False,
    device: Device = "auto",
    workers: Workers = -1,
    dtype: Dtype = "auto",
) -> None:
    """Split a collection so that nothing leaks from train to test.

    Images of one specimen and duplicates of one gathering stay together, however their labels are
    spelt; with --images or --embedding, so do images that look the same.

    For example: herbzoo data split leaves/ --output leaves/split.csv

    herbzoo data split sheets/ --by institution --hold-out NY --output sheets/without_ny.csv
    """
    import pandas as pd

    from herbzoo.data.joins import join_groups
    from herbzoo.data.readers import open_collection
    from herbzoo.data.split_table import check_output
    from herbzoo.data.splits import PARTS
    from herbzoo.data.strategies import plan_split

    collection = open_collection(data, name_column=name_column, skip_bad=skip_bad)
    if output is not None:
        check_output(collection, output)
    duplicates = find_duplicates(
        collection,
        images=images,
        embedding=embedding,
        cosine=cosine,
        device=device,
        workers=workers,
        dtype=dtype,
    )
    joins = [join_groups(kind, groups) for kind, groups in duplicates.items()]
    plan = plan_split(
        collection,
        by.value,
        hold_out=hold_out or (),
        test_share=test_share,
        validation_share=validation_share,
        seen_share=seen_share,
        seed=seed,
        joins=joins,
        least_train=least_train,
        least_test=least_test,
    )
    typer.echo(summary(collection, plan))
    rows = [row for part in PARTS for row in (plan.parts == part).nonzero()[0].tolist()]
    inside = {kind: renumbered(groups, rows) for kind, groups in duplicates.items()}
    typer.echo(leak_report(plan.apply(collection), inside))
    if output is None:
        typer.echo("nothing is written: give --output, such as a table in DATA", err=True)
        return
    unseen = collection.frame[plan.column].isin(plan.held_out) if plan.column else None
    columns = None
    if unseen is not None and by is not By.institution:
        columns = pd.DataFrame({"zero_shot": unseen.map({True: "unseen", False: "seen"})})
    write_split(collection, plan.parts, output, workers=workers, columns=columns)


def summary(collection: Collection, plan: SplitPlan) -> str:
    """Returns the parts by size and domain, and what becomes of the tail, as lines for people."""
    from herbzoo.data.records import FIELD, HERBARIUM
    from herbzoo.data.splits import PARTS
    from herbzoo.data.strategies import UNUSED

    frame = collection.frame.assign(part=plan.parts)
    domains = {"herbarium": HERBARIUM, "field": FIELD}
    lines = [("", "images", "species", *domains)]
    for part in (*PARTS, UNUSED):
        rows = frame[frame["part"] == part]
        if len(rows) or part != UNUSED:
            counts = [int((rows["basisOfRecord"] == term).sum()) for term in domains.values()]
            numbers = (len(rows), rows["scientificName"].nunique(), *counts)
            lines.append((part, *(f"{number:,}" for number in numbers)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    table = [
        "  ".join([name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])])
        for name, *numbers in lines
    ]
    if plan.torn:
        table.append(f"{plan.torn:,} images are unused: what they belong with is held out")
    return "\n".join([f"split {plan.rule}", *table, *_tail(collection, plan.parts)])


def _tail(collection: Collection, parts: np.ndarray) -> list[str]:
    from herbzoo.data.gatherings import gatherings

    frame = collection.frame.assign(part=parts, gathering=gatherings(collection.frame))
    names = frame["scientificName"]
    each = frame.groupby(names)["gathering"].nunique()
    train = frame[frame["part"] == "train"].groupby("scientificName")["gathering"].nunique()
    train = train.reindex(each.index, fill_value=0)
    tested = set(names[frame["part"] == "test"])
    few = ((train > 0) & (train < 5)).sum()
    return [
        f"{len(each):,} species of {each.sum():,} gatherings: {(train == 0).sum():,} without train "
        f"rows, {few:,} with fewer than 5 gatherings in train, {len(each) - len(tested):,} not "
        f"tested ({(each == 1).sum():,} have one gathering only)"
    ]
