"""What the tests of embedding share: the command line, and what is in the files it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from herbzoo.index.embedding_table import vectors_of


def read_rows(file: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns the columns of text of a file of embeddings, and the embeddings `[N, D]`."""
    table = pq.read_table(file)
    return table.drop_columns("embedding").to_pandas(), vectors_of(table)


def parts_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.parts")
