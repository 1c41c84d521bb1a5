"""Where `data split` and `data leaks` write: a table beside the images, or a folder with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from herbzoo.data.records import Collection


def write_split(
    collection: Collection,
    parts: np.ndarray,
    output: Path,
    *,
    workers: int,
    columns: pd.DataFrame | None = None,
) -> None:
    """Writes rows and their parts, and says how to use them.

    Args:
        collection: the rows.
        parts: of each, `train`, `validation`, `test` or something else.
        output: a table, or a folder that gets Parquet files with the images in them.
        workers: threads that read images, for a folder.
        columns: further columns.
    """
    from herbzoo.data.readers.tables import is_table_path
    from herbzoo.data.split_table import with_parts, write_split_table

    frame = with_parts(collection, parts)
    if columns is not None:
        frame = frame.assign(**{str(name): values.to_numpy() for name, values in columns.items()})
    if is_table_path(output.name):
        write_split_table(collection, frame, output)
    else:
        _convert(collection, frame, output, workers)
    following = f"herbzoo train --data {quote(str(output))} --backbone NAME --head NAME"
    typer.echo(f"wrote {output}; next: {following}", err=True)


def _convert(collection: Collection, frame: pd.DataFrame, output: Path, workers: int) -> None:
    from herbzoo.cli.progress import image_progress
    from herbzoo.data.convert import convert

    added = [name for name in frame.columns if name not in collection.frame.columns]
    rows = collection.frame.assign(split=frame["split"], **{name: frame[name] for name in added})
    with image_progress("writing", len(rows)) as advance:
        convert(
            replace(collection, frame=rows),
            output,
            split_column="split",
            workers=workers,
            progress=advance,
        )
