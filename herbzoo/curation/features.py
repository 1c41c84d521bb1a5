"""What the backbone sees in each image of a collection: computed once, kept, and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from herbzoo.data.records import Collection
from herbzoo.errors import RunError
from herbzoo.image_batches import AUTO, Failure
from herbzoo.index.embed import embed_collection
from herbzoo.index.embedding_table import (
    EMBEDDING,
    EmbeddingModel,
    EmbeddingTable,
    vectors_of,
)
from herbzoo.inference import Identifier
from herbzoo.text_cache import Bar, no_bar

FILE_NAME = "features.parquet"


@dataclass(frozen=True)
class Features:
    """The readable images of a collection, and numbers that describe what they show."""

    collection: Collection
    """The rows that could be read, in their order; `N` of them."""
    values: np.ndarray
    """`[N, F]`, float32."""
    model: EmbeddingModel
    """What made them."""
    failures: tuple[Failure, ...] = ()
    """Images that could not be read."""

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.values)


def collection_features(
    identifier: Identifier,
    collection: Collection,
    file: Path,
    *,
    batch_size: int = 0,
    workers: int = AUTO,
    progress: Bar = no_bar,
    report: Callable[[str], object] = lambda line: None,
) -> Features:
    """Computes the features of the backbone for each image; no neck has shaped them by names.

    What `file` holds already of the same images is used again, so that an interrupted command goes
    on where it was.

    Args:
        identifier: whose backbone computes.
        collection: its names are not looked at.
        file: Parquet file that keeps them.
        batch_size: images at a time; 0 for what suits the device.
        workers: processes that decode images; 0 is none, `AUTO` (-1) chooses.
        progress: opens a bar over the images to compute.
        report: told what there is already.

    Raises:
        DataError: if no image can be read.
        RunError: if the file is of another model, or another process writes it.
    """
    model = EmbeddingModel.of(identifier, neck=False)
    engine = partial(identifier.embedded, batch_size=batch_size, workers=workers, neck=False)
    summary = embed_collection(
        collection, engine, model, str(file), progress=progress, report=report
    )
    found = _read(EmbeddingTable.open(file), collection)
    return replace(found, failures=summary.failures)


def embedded_features(identifier: Identifier, collection: Collection, file: Path) -> Features:
    """Reads embeddings that `herbzoo embed` made of a collection, in place of features.

    Rows of the collection that the file does not have count as failures.

    Raises:
        DataError: if it is no such file.
        RunError: if it is of another model, or has no image of the collection.
    """
    table = EmbeddingTable.open(file)
    table.model.check_same(EmbeddingModel.of(identifier), str(file))
    found = _read(table, collection)
    if not len(found):
        raise RunError(f"{file} has no image of {collection.name}: give the embeddings of --data")
    there = set(found.collection.frame["image"])
    lost = [
        Failure(row, key, f"it is not in {file}")
        for row, key in enumerate(collection.frame["image"])
        if key not in there
    ]
    return replace(found, failures=tuple(lost))


def _read(table: EmbeddingTable, collection: Collection) -> Features:
    """Reads a file, and brings its rows into the order of the collection."""
    values = np.empty((len(table), table.model.dimension), np.float32)
    keys: list[str] = []
    for batch in table.batches(["image", EMBEDDING]):
        values[len(keys) : len(keys) + len(batch)] = vectors_of(batch)
        keys += batch.column("image").to_pylist()
    place = pd.Series(np.arange(len(keys)), index=keys)
    place = place[~place.index.duplicated()]
    places = place.reindex(collection.frame["image"]).to_numpy()
    there = np.isfinite(places)
    wanted = places[there].astype(np.int64)
    if len(wanted) != len(values) or (wanted != np.arange(len(values))).any():
        values = values[wanted]
    kept = collection if there.all() else collection.select(there)
    return Features(kept, values, table.model)
