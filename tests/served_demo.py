"""A demo in a thread of the test, and what it is started with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from herbzoo.calibration import PRECISIONS, Calibration
from herbzoo.data.readers import open_images
from herbzoo.demo.app import demo, presentation
from herbzoo.index import EmbeddingModel, SpecimenIndex, embed_collection
from herbzoo.inference import Identifier
from herbzoo.taxonomy import RANKS


def calibrated(run: Path) -> None:
    """Gives a run a calibration: the more is to be right, the surer a name must be."""
    promises = {
        f"{precision:.2f}": dict.fromkeys(RANKS, precision if precision < 0.99 else 1.0)
        for precision in PRECISIONS
    }
    Calibration(1.0, 100, "made up for a test", promises=promises).save(run)


def indexed(run: Path, data: Path, index: Path) -> Path:
    """Builds the index of a collection by a run, with thumbnails; returns where it is."""
    collection = open_images(data, named_by_folders=True)
    identifier = Identifier.from_pretrained(run, "cpu")
    table = index.with_suffix(".parquet")
    engine = partial(identifier.embedded, batch_size=32, workers=0)
    embed_collection(collection, engine, EmbeddingModel.of(identifier), str(table))
    SpecimenIndex.create(index, table, images=collection.images, thumbnails="kept")
    return index


@contextmanager
def served(*given, **options) -> Iterator[str]:
    """Runs the demo in a thread of this process; yields its address."""
    app = demo(*given, **options)
    try:
        _, address, _ = app.launch(
            **presentation(), prevent_thread_lock=True, server_name="127.0.0.1", quiet=True
        )
        yield address
    finally:
        app.close()
