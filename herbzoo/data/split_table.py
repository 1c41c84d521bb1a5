"""A split as a table that is found again beside its images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from herbzoo.data.destination import check_destination
from herbzoo.data.readers.columns import IMAGE_COLUMNS
from herbzoo.data.readers.folders import FolderImages
from herbzoo.data.readers.tables import TABLE_SUFFIXES, is_table_path
from herbzoo.data.records import COLUMNS, Collection
from herbzoo.errors import DataError


def check_output(collection: Collection, output: Path) -> None:
    """Refuses an output that could not be written or read back, before the work.

    A table names images in its own folder and below, and nowhere else: a reader follows no path
    that leads out. So the table of a split must lie in the folder of the images, or above it.

    Raises:
        DataError: if it exists, or images would not be found from there.
    """
    if not is_table_path(output.name):
        if output.is_file():
            raise DataError(
                f"{output} is a file: give --output a table ({_suffixes()}) or a folder"
            )
        check_destination(output)
        return
    if output.exists():
        raise DataError(f"{output} is there already: delete it, or give another --output")
    convert = f"give a folder as --output instead ({output.with_suffix('')}), which gets them all"
    if not isinstance(collection.images, FolderImages):
        raise DataError(
            f"the images of {collection.name} are in no folder a table could name: {convert}"
        )
    root = collection.images.root.resolve()
    if not root.is_relative_to(output.parent.resolve()):
        beside = collection.images.root / output.name
        raise DataError(
            f"a table in {output.parent} cannot name images in {collection.images.root}: "
            f"put it there (--output {beside}), or {convert}"
        )
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise DataError(f"{output.parent} cannot be written to: {convert}")


def with_parts(collection: Collection, parts: np.ndarray) -> pd.DataFrame:
    """Returns the rows with their parts as column `split`, and without columns that are empty."""
    frame = collection.frame.assign(split=pd.Series(parts, dtype=str).to_numpy())
    others = [column for column in frame.columns if column not in COLUMNS]
    # A second column of images would name them as they were called before.
    kept = [column for column in others if column.lower() not in IMAGE_COLUMNS]
    return frame[[*(c for c in COLUMNS if (frame[c] != "").any()), *kept]]


def write_split_table(collection: Collection, frame: pd.DataFrame, output: Path) -> None:
    """Writes rows whose images lie in or below the folder of `output`.

    Args:
        collection: which the rows are of; its images are files.
        frame: rows, as of `with_parts`.
        output: a table that `check_output` passed.
    """
    assert isinstance(collection.images, FolderImages)
    inside = collection.images.root.resolve().relative_to(output.parent.resolve()).as_posix()
    image = frame["image"] if inside == "." else f"{inside}/" + frame["image"]
    frame = frame.assign(image=image)
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    match output.suffix.lower():
        case ".parquet":
            frame.to_parquet(beside, index=False)
        case ".jsonl" | ".ndjson":
            frame.to_json(beside, orient="records", lines=True, force_ascii=False)
        case suffix:
            frame.to_csv(beside, index=False, sep="\t" if suffix == ".tsv" else ",")
    beside.replace(output)


def _suffixes() -> str:
    return ", ".join(TABLE_SUFFIXES)
