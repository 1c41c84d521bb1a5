"""Embedding a collection into one file, which can be interrupted and gone on with at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from herbzoo.data.records import Collection
from herbzoo.errors import DataError, ImageError
from herbzoo.identification_file import FAILURE_COLUMNS, FAILURES_SUFFIX
from herbzoo.identification_output import csv_text
from herbzoo.image_batches import Failure, fingerprint_of
from herbzoo.index.embedding_parts import PART_ROWS, EmbeddingParts
from herbzoo.index.embedding_table import (
    EMBEDDING,
    FINGERPRINT,
    IMAGE,
    EmbeddingModel,
    EmbeddingTable,
    as_column,
    schema_of,
    vectors_of,
)
from herbzoo.index.vector_scratch import VectorScratch
from herbzoo.text_cache import Bar, no_bar

if TYPE_CHECKING:
    from herbzoo.embedder import EmbeddedBatch

Engine = Callable[[Collection], Iterator["EmbeddedBatch"]]
"""Embeds the images of a collection; batches may come in any order."""


@dataclass(frozen=True)
class EmbeddingSummary:
    """What became of the images of a collection."""

    rows: int
    """In the finished file."""
    embedded: int
    """Images embedded now."""
    reused: int
    """Images whose embeddings were there already."""
    failures: tuple[Failure, ...]
    """Images that could not be read."""


def embed_collection(
    collection: Collection,
    engine: Engine,
    model: EmbeddingModel,
    output: str,
    *,
    progress: Bar = no_bar,
    report: Callable[[str], object] = lambda line: None,
) -> EmbeddingSummary:
    """Writes one row for each readable image: all columns of the collection, and its embedding.

    What the file and its unfinished parts hold already of the same images is used again; an image
    that has changed since is embedded anew. The rows, their order and their other columns are
    always those of the collection as it is now. Each file appears when it is complete.

    Args:
        collection: its records and images.
        engine: embeds images, such as `Identifier.embedded`.
        model: what the engine runs.
        output: path or URL of the Parquet file; unreadable images are listed beside it.
        progress: opens a bar over the images to embed.
        report: told what there is already.

    Raises:
        RunError: if another process writes the file, it is of another model, or no such file.
        DataError: if no image can be read.
        OSError: if the disk is full; what was complete is used the next time.
    """
    images = _Images(collection)
    failures: list[Failure] = []
    with EmbeddingParts(output, model) as parts:
        images.find(parts.tables())
        reused, missing = images.done(), images.missing()
        if reused:
            report(f"{reused:,} images are embedded already, {len(missing):,} are left")
        try:
            with progress(len(missing)) as advance, parts.writer() as writer:
                batches = engine(collection.select(images.first_rows[missing]))
                for batch in batches if len(missing) else ():
                    keys, marks = images.embedded(missing[batch.rows], batch.fingerprints)
                    writer.add(keys, marks, batch.embeddings)
                    failures += batch.failures
                    advance(len(batch.rows) + len(batch.failures))
        finally:
            parts.write_beside(FAILURES_SUFFIX, _failures_text(failures))
        if not images.done():
            raise DataError(
                f"none of the {len(images.keys):,} images of {collection.name} can be read; the "
                f"first: {failures[0].key}: {failures[0].reason}"
            )
        rows = images.finished_rows()
        schema = schema_of([*collection.frame.columns], model)
        with VectorScratch(model.dimension, parts.scratch_folder()) as scratch:
            images.gather(parts.tables(), scratch)
            parts.finish(_tables(images, rows, scratch, schema), schema)
    return EmbeddingSummary(len(rows), images.done() - reused, reused, tuple(failures))


class _Images:
    """The distinct images of a collection, and the fingerprints under which they are embedded."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.numbers, found = pd.factorize(collection.frame["image"])
        """Number of the image of each row."""
        self.keys: list[str] = found.tolist()
        """The image of each number."""
        self.first_rows = np.unique(self.numbers, return_index=True)[1]
        """A row of each image."""
        self._index = pd.Index(self.keys)
        self._marks: list[str | None] = [None] * len(self.keys)
        facts = json.dumps(dict(collection.facts), sort_keys=True, default=str)
        named = f"{collection.name} {facts}".encode()
        # Pictures that are drawn on the spot have no fingerprint, and are decided by the facts.
        self._without_fingerprint = hashlib.sha256(named).hexdigest()[:16]

    def done(self) -> int:
        """Returns how many images are embedded."""
        return sum(mark is not None for mark in self._marks)

    def missing(self) -> np.ndarray:
        """Returns the numbers of the images that are not embedded."""
        return np.array([n for n, mark in enumerate(self._marks) if mark is None], dtype=np.int64)

    def finished_rows(self) -> np.ndarray:
        """Returns the rows of the collection whose images are embedded."""
        return np.flatnonzero(np.array([mark is not None for mark in self._marks])[self.numbers])

    def find(self, tables: Sequence[EmbeddingTable]) -> None:
        """Finds the images whose embeddings are there and that have not changed since."""
        current: dict[int, str | None] = {}
        for number, mark, _ in self._kept(tables):
            if number not in current:
                current[number] = self._current_mark(number)
            if mark == current[number]:
                self._marks[number] = mark

    def embedded(
        self, numbers: np.ndarray, fingerprints: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Takes note of what was embedded; returns keys and fingerprints as they are kept."""
        marks = [self._mark(fingerprint) for fingerprint in fingerprints]
        for number, mark in zip(numbers.tolist(), marks, strict=True):
            self._marks[number] = mark
        return [self.keys[number] for number in numbers], marks

    def gather(self, tables: Sequence[EmbeddingTable], scratch: VectorScratch) -> None:
        """Collects the embeddings of all images by their numbers."""
        for table in tables:
            for batch in table.batches([IMAGE, FINGERPRINT, EMBEDDING]):
                kept = list(self._of_batch(batch))
                numbers = np.array([number for number, _, _ in kept], dtype=np.int64)
                valid = [self._marks[number] == mark for number, mark, _ in kept]
                places = np.array([place for _, _, place in kept], dtype=np.int64)[valid]
                scratch.write(numbers[valid], vectors_of(batch)[places])

    def text(self, rows: np.ndarray, columns: Sequence[str]) -> list[pa.Array]:
        """Returns columns of rows as text; a row's fingerprint is among them."""
        frame = self.collection.frame.iloc[rows]
        marks = [self._marks[number] for number in self.numbers[rows]]
        return [
            pa.array(marks if name == FINGERPRINT else frame[name].astype(str), pa.string())
            for name in columns
        ]

    def _kept(self, tables: Sequence[EmbeddingTable]) -> Iterator[tuple[int, str, int]]:
        for table in tables:
            for batch in table.batches([IMAGE, FINGERPRINT]):
                yield from self._of_batch(batch)

    def _of_batch(self, batch: pa.RecordBatch) -> Iterator[tuple[int, str, int]]:
        """Yields the number, fingerprint and place of each image that is of the collection."""
        numbers = self._index.get_indexer(batch.column(IMAGE).to_pylist())
        marks = batch.column(FINGERPRINT).to_pylist()
        for place in np.flatnonzero(numbers >= 0).tolist():
            yield int(numbers[place]), marks[place], place

    def _current_mark(self, number: int) -> str | None:
        try:
            return self._mark(fingerprint_of(self.collection.images, self.keys[number]))
        except ImageError:  # it is gone, which is found out again when it is to be embedded
            return None

    def _mark(self, fingerprint: str) -> str:
        return fingerprint or self._without_fingerprint


def _failures_text(failures: Sequence[Failure]) -> str:
    """Returns the list of unreadable images, or nothing if there are none."""
    rows = [(failure.key, failure.reason) for failure in failures]
    return csv_text([FAILURE_COLUMNS, *rows]) if rows else ""


def _tables(
    images: _Images, rows: np.ndarray, scratch: VectorScratch, schema: pa.Schema
) -> Iterator[pa.Table]:
    """Yields some rows of the finished file after the other."""
    text = [name for name in schema.names if name != EMBEDDING]
    for start in range(0, len(rows), PART_ROWS):
        some = rows[start : start + PART_ROWS]
        vectors = scratch.read(images.numbers[some])
        yield pa.Table.from_arrays([*images.text(some, text), as_column(vectors)], schema=schema)
