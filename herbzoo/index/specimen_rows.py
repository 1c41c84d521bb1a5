"""Rows of the index: how those of a file of embeddings are stored, and what tells them apart.

Every column of the file is kept as text; vectors are stored with length 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from herbzoo.data.records import COLUMNS
from herbzoo.index.embedding_table import (
    EMBEDDING,
    FINGERPRINT,
    IMAGE,
    METADATA_KEY,
    EmbeddingModel,
    as_column,
    vectors_of,
)

THUMBNAIL = "thumbnail_jpeg"
RECORD = "record_json"
"""All columns of a row that are not blank, once more: one read for an answer instead of dozens."""
PREVIOUS = "previousIdentifications"
DETERMINATION = (
    "scientificName",
    "scientificNameAuthorship",
    "genus",
    "family",
    "taxonID",
    "identifiedBy",
    "dateIdentified",
    PREVIOUS,
)
"""Columns that a determination sets; all of them Darwin Core terms."""
_OWN = (EMBEDDING, THUMBNAIL, RECORD)
_SAME = 1e-5
"""How far parts of two vectors may lie apart that count as the same."""


@dataclass(frozen=True)
class RowShape:
    """Where the columns of a file of embeddings go in an index."""

    sources: tuple[tuple[str, str], ...]
    """Names of the index's columns of text, and which column of the file is in each ('' is none)"""
    model: EmbeddingModel

    @classmethod
    def of(cls, columns: Sequence[str], model: EmbeddingModel) -> RowShape:
        """Names the columns for a file's columns; those of Darwin Core are always there."""
        taken: dict[str, str] = {}
        for name in columns:
            stored = stored_name(name)
            while stored in taken or stored in _OWN:
                stored += "_"
            taken[stored] = name
        for name in (*COLUMNS, *DETERMINATION, FINGERPRINT):
            taken.setdefault(name, name if name == FINGERPRINT else "")
        return cls(tuple(taken.items()), model)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the index's table."""
        texts = [pa.field(name, pa.string()) for name, _ in self.sources]
        own = [
            pa.field(RECORD, pa.string()),
            pa.field(THUMBNAIL, pa.binary()),
            pa.field(EMBEDDING, pa.list_(pa.float32(), self.model.dimension)),
        ]
        return pa.schema(texts + own, metadata={METADATA_KEY: self.model.to_json().encode()})

    def rows(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
        """Returns rows of the file as rows of an index with this schema, to be `completed`.

        Raises:
            DataError: if an embedding has parts that are no numbers.
        """
        from herbzoo.evaluation.retrieval import unit_vectors

        sources = dict(self.sources)
        arrays: list[pa.Array] = []
        for field in schema:
            source = sources.get(field.name, "")
            if field.name == EMBEDDING:
                arrays.append(as_column(unit_vectors(vectors_of(batch))))
            elif field.name == THUMBNAIL:
                arrays.append(pa.nulls(len(batch), pa.binary()))
            elif source in batch.schema.names:
                arrays.append(pc.fill_null(pc.cast(batch.column(source), pa.string()), ""))
            else:
                arrays.append(pa.array([""] * len(batch), pa.string()))
        plain = pa.schema([pa.field(field.name, field.type) for field in schema])
        return pa.table(arrays, schema=plain)


def stored_name(column: str) -> str:
    """Returns the name that LanceDB can hold a column by."""
    return re.sub(r"[.`\"\\]", "_", column).lstrip("_") or "column"


def text_columns(schema: pa.Schema) -> list[str]:
    """Returns the columns that people see and filter by."""
    hidden = (FINGERPRINT, *_OWN)
    return [field.name for field in schema if field.name not in hidden]


def changed_rows(given: pa.Table, stored: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Compares rows with those of the same images in an index.

    Args:
        given: rows, each of another image.
        stored: the rows of the index that have one of these images.

    Returns:
        Positions in `given` of the rows that are new, and of those that are there but differ.
    """
    place = {image: row for row, image in enumerate(stored[IMAGE].to_pylist())}
    found = np.array([place.get(image, -1) for image in given[IMAGE].to_pylist()], dtype=np.int64)
    there = np.flatnonzero(found >= 0)
    if not len(there):
        return np.flatnonzero(found < 0), there
    mine, theirs = given.take(there), stored.take(found[there])
    apart = np.abs(vectors_of(mine) - vectors_of(theirs)).max(axis=1) > _SAME
    for name in (*text_columns(given.schema), FINGERPRINT):
        unlike = pc.not_equal(mine[name], pc.fill_null(theirs[name], ""))
        apart |= unlike.combine_chunks().to_numpy(zero_copy_only=False).astype(bool)
    return np.flatnonzero(found < 0), there[apart]


def with_own_determinations(given: pa.Table, stored: pa.Table) -> pa.Table:
    """Keeps what was determined in the index, unless the file knows of something later.

    A row whose name was changed in the index has `previousIdentifications` there; the file that it
    came from still has the old name.

    Args:
        given: rows, each of another image.
        stored: the rows of the index that have one of these images.
    """
    wanted = pc.not_equal(pc.fill_null(stored[PREVIOUS], ""), "")
    own = {
        row[IMAGE]: row for row in stored.filter(wanted).select([IMAGE, *DETERMINATION]).to_pylist()
    }
    if not own:
        return given
    rows = given.select([IMAGE, *DETERMINATION]).to_pylist()
    for row in rows:
        kept = own.get(row[IMAGE])
        if kept is not None and kept["dateIdentified"] >= row["dateIdentified"]:
            row.update({name: kept[name] or "" for name in DETERMINATION})
    for name in DETERMINATION:
        values = pa.array([row[name] for row in rows], pa.string())
        given = given.set_column(given.schema.get_field_index(name), name, values)
    return given


def completed(rows: pa.Table, pictures: Sequence[bytes | None] = ()) -> pa.Table:
    """Returns rows as they are written: with their records, and their thumbnails if given."""
    texts = rows.select(text_columns(rows.schema)).to_pylist()
    records = [json.dumps({k: v for k, v in row.items() if v}, ensure_ascii=False) for row in texts]
    place = rows.schema.get_field_index(RECORD)
    rows = rows.set_column(place, rows.schema.field(place), pa.array(records, pa.string()))
    if not pictures:
        return rows
    place = rows.schema.get_field_index(THUMBNAIL)
    return rows.set_column(place, rows.schema.field(place), pa.array(pictures, pa.binary()))
