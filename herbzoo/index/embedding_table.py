"""A file of embeddings: a Parquet table with one row an image, and which model made it.

Columns: those of the collection, as text; `imageFingerprint`, text that changes when the image
does (empty where its source knows none); and `embedding`, a fixed-size list of float32, as
`AutoModel` gives it: after the neck, not normalised. The model is described in the key-value
metadata of the file, as JSON under the key `herbzoo`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from herbzoo.data.storage import open_to_read
from herbzoo.errors import DataError, RunError

if TYPE_CHECKING:
    from herbzoo.inference import Identifier

SCHEMA_VERSION = 1
METADATA_KEY = b"herbzoo"
IMAGE = "image"
FINGERPRINT = "imageFingerprint"
EMBEDDING = "embedding"
BATCH_ROWS = 4096
"""Rows that are read at a time."""


@dataclass(frozen=True)
class EmbeddingModel:
    """Which model made embeddings; only embeddings of one digest can be compared."""

    source: str
    """The run folder or Hub id, as it was given."""
    revision: str
    """The commit on the Hub, or '' for a folder."""
    digest: str
    """SHA-256 of all that decides embeddings: backbone, neck and preprocessing."""
    dimension: int
    """Width of an embedding."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, identifier: Identifier, *, neck: bool = True) -> EmbeddingModel:
        """Describes a loaded model, or its backbone alone."""
        from herbzoo.model_digest import embedding_digest

        model = identifier.model
        return cls(
            identifier.source,
            identifier.revision,
            embedding_digest(model, identifier.letterbox.spec, neck),
            (model.neck if neck else model.backbone).out_features,
        )

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> EmbeddingModel:
        """Reads what `to_json` wrote.

        Args:
            text: the JSON.
            where: what it was read from, for errors.

        Raises:
            DataError: if it is something else, or of a newer version.
        """
        try:
            facts = json.loads(text)
            version = int(facts["schema_version"])
            if version > SCHEMA_VERSION:
                raise DataError(
                    f"{where} was written by a newer herbzoo ({facts.get('herbzoo', 'unknown')}): "
                    "upgrade with `pip install -U herbzoo`"
                )
            model, revision = str(facts["model"]), str(facts["revision"])
            return cls(
                model, revision, str(facts["model_digest"]), int(facts["dimension"]), version
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{where} does not say which model made its embeddings: make it anew with "
                "`herbzoo embed`"
            ) from error

    def to_json(self) -> str:
        """Returns what a file or a database keeps of it."""
        from herbzoo import __version__

        return json.dumps(
            {
                "schema_version": self.schema_version,
                "model": self.source,
                "revision": self.revision,
                "model_digest": self.digest,
                "dimension": self.dimension,
                "herbzoo": __version__,
            }
        )

    def check_same(self, other: EmbeddingModel, where: str) -> None:
        """Refuses to mix embeddings of two models.

        Args:
            other: the model whose embeddings are to be added or compared.
            where: what holds embeddings of this one, such as a file.

        Raises:
            RunError: if they differ; the message names both.
        """
        if self.digest != other.digest:
            raise RunError(
                f"{where} holds embeddings of {self}, and those of {other} cannot be compared "
                "with them: use the same model, or choose another place"
            )

    def __str__(self) -> str:
        """Names it for people: two of one name differ in their digest."""
        revision = f"@{self.revision[:12]}" if self.revision and "@" not in self.source else ""
        return f"{self.source}{revision} (digest {self.digest[:12]})"


@dataclass(frozen=True)
class EmbeddingTable:
    """A finished file of embeddings, here or on object storage."""

    where: str
    """Path or URL."""
    model: EmbeddingModel
    columns: tuple[str, ...]
    """Names of the text columns, those of Darwin Core first, `imageFingerprint` not among them."""
    rows: int

    @classmethod
    def open(cls, where: str | Path) -> EmbeddingTable:
        """Opens a file without reading its rows.

        Raises:
            DataError: if it is not there, or is no file that `herbzoo embed` wrote.
        """
        name = str(where)
        with open_to_read(name) as stream:
            try:
                metadata = pq.read_metadata(stream)
            except pa.ArrowException as error:
                raise DataError(f"{name} is no file of embeddings: it is not Parquet") from error
        model = EmbeddingModel.from_json((metadata.metadata or {}).get(METADATA_KEY, b""), name)
        schema = metadata.schema.to_arrow_schema()
        found = schema.field(EMBEDDING).type if EMBEDDING in schema.names else None
        if found != pa.list_(pa.float32(), model.dimension) or IMAGE not in schema.names:
            raise DataError(
                f"{name} has no column {EMBEDDING!r} of {model.dimension} float32: make it anew "
                "with `herbzoo embed`"
            )
        columns = tuple(name for name in schema.names if name not in (FINGERPRINT, EMBEDDING))
        return cls(name, model, columns, metadata.num_rows)

    def __len__(self) -> int:
        """Returns the number of rows."""
        return self.rows

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Reads the rows in their order, in bounded memory.

        Args:
            columns: which to read; all unless given.
            rows: in a batch.

        Raises:
            DataError: if the file is damaged.
        """
        with open_to_read(self.where) as stream:
            try:
                file = pq.ParquetFile(stream)
                yield from file.iter_batches(rows, columns=None if columns is None else [*columns])
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{self.where} is damaged ({error}): make it anew") from error


def vectors_of(batch: pa.RecordBatch | pa.Table) -> np.ndarray:
    """Returns the embeddings of a batch `[B, D]`, float32."""
    column = batch.column(EMBEDDING)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)


def as_column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Returns embeddings `[B, D]` as the column of a file."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def schema_of(columns: Sequence[Any], model: EmbeddingModel) -> pa.Schema:
    """Returns the schema of a file with these columns of text."""
    own = [str(name) for name in columns if name not in (FINGERPRINT, EMBEDDING)]
    fields = [pa.field(name, pa.string()) for name in (*own, FINGERPRINT)]
    fields.append(pa.field(EMBEDDING, pa.list_(pa.float32(), model.dimension)))
    return pa.schema(fields, metadata={METADATA_KEY: model.to_json().encode()})
