"""Unfinished embeddings: complete parts in a hidden folder beside the file they are for.

Each part appears by being renamed, so whatever ends a process costs it the part it was at. One
process at a time works on a file.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from herbzoo.data.cache_root import cache_root
from herbzoo.data.storage import filesystem, is_url
from herbzoo.errors import DataError, RunError
from herbzoo.index.embedding_table import (
    EMBEDDING,
    IMAGE,
    EmbeddingModel,
    EmbeddingTable,
    as_column,
    schema_of,
)

PART_ROWS = 8192
PART_SECONDS = 20.0
"""A part is complete after so many rows or so long, whichever comes first."""
_LEAVES = f"{EMBEDDING}.list.element"
"""What Parquet calls the numbers of an embedding."""


class EmbeddingParts:
    """The parts of one output; entering it locks the output.

    Args:
        output: path or URL of the file to be.
        model: what makes its embeddings.
    """

    def __init__(self, output: str, model: EmbeddingModel) -> None:
        self.output = output if is_url(output) else str(Path(output).expanduser())
        self.model = model
        self.storage = filesystem(self.output)
        above, slash, name = self.output.rpartition("/")
        self.folder = f"{above}{slash}.{name}.parts"
        """Path or URL of the folder of parts."""
        self._lock = FileLock(self._lock_file(), blocking=False)

    def __enter__(self) -> EmbeddingParts:
        """Locks the output.

        Raises:
            RunError: if another process works on it, or what is there is something else or of
                another model.
        """
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise RunError(
                f"another process writes {self.output}: wait for it, or choose another --output"
            ) from error
        try:
            for table in self.tables():
                table.model.check_same(self.model, table.where)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the output free, and leaves no folder without parts."""
        self._leave()

    def tables(self) -> list[EmbeddingTable]:
        """Returns what there is: the finished file, then the parts; of one image the last counts.

        Raises:
            RunError: if something else is in the place of the file, or a part is damaged.
        """
        found: list[EmbeddingTable] = []
        if self.storage.exists(self.output):
            try:
                found.append(EmbeddingTable.open(self.output))
            except DataError as error:
                raise RunError(f"{error}; it is in the way: choose another --output") from error
        try:
            return found + [EmbeddingTable.open(f"{self.folder}/{name}") for name in self._names()]
        except DataError as error:
            raise RunError(f"{error}; delete {self.folder} to begin anew") from error

    def writer(self) -> PartWriter:
        """Returns what writes further parts."""
        return PartWriter(self)

    def add(self, images: list[str], fingerprints: list[str], vectors: np.ndarray) -> None:
        """Writes a part: images by their keys, with their fingerprints and embeddings `[B, D]`."""
        last = max(
            (int(name[len("part-") : -len(".parquet")]) for name in self._names()), default=-1
        )
        schema = schema_of([IMAGE], self.model)
        table = pa.Table.from_arrays(
            [pa.array(images), pa.array(fingerprints), as_column(vectors)], schema=schema
        )
        self._write(f"{self.folder}/part-{last + 1:06d}.parquet", [table], schema)

    def finish(self, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        """Writes the output, which appears when it is complete, and deletes the parts."""
        self._write(self.output, tables, schema)
        self.storage.rm(self.folder, recursive=True)

    def write_beside(self, suffix: str, text: str) -> None:
        """Writes a small file named for the output; without text there is to be none."""
        where = self.output + suffix
        if text:
            with self.storage.open(where, "wb") as stream:
                stream.write(text.encode("utf-8", "backslashreplace"))
        elif self.storage.exists(where):
            self.storage.rm(where)

    def scratch_folder(self) -> Path | None:
        """Returns where temporary files can be as large as the output: beside it, if it is here."""
        return None if is_url(self.output) else Path(self.folder)

    def _write(self, where: str, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        text = [name for name in schema.names if name != EMBEDDING]
        partial = f"{self.folder}/partial"
        self.storage.makedirs(self.folder, exist_ok=True)
        with (
            self.storage.open(partial, "wb") as stream,
            pq.ParquetWriter(
                stream,
                schema,
                # Embeddings are as good as noise: packing them costs time and saves nothing.
                compression={**dict.fromkeys(text, "zstd"), _LEAVES: "none"},
                use_dictionary=text,
                write_statistics=text,
            ) as writer,
        ):
            for table in tables:
                writer.write_table(table)
        self.storage.mv(partial, where)

    def _names(self) -> list[str]:
        """Returns the names of the complete parts, in the order in which they were written."""
        if not self.storage.isdir(self.folder):
            return []
        self.storage.invalidate_cache()  # listings are kept, and would lack what was just written
        paths = self.storage.ls(self.folder, detail=False)
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if name.startswith("part-"))

    def _leave(self) -> None:
        if not self._names() and self.storage.isdir(self.folder):
            self.storage.rm(self.folder, recursive=True)
        self._lock.release()

    def _lock_file(self) -> Path:
        if not is_url(self.output):
            return Path(self.folder) / "lock"
        # Object storage has no locks: this one is for the processes of this machine.
        digest = hashlib.sha256(self.output.encode()).hexdigest()
        return cache_root() / "locks" / f"{digest[:32]}.lock"


class PartWriter:
    """Collects embeddings and writes them out part by part."""

    def __init__(self, parts: EmbeddingParts) -> None:
        self._parts = parts
        self._began = time.monotonic()
        self._images: list[str] = []
        self._fingerprints: list[str] = []
        self._vectors: list[np.ndarray] = []

    def __enter__(self) -> PartWriter:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes what is left, also after an interruption, but not after a failed write."""
        if not isinstance(error, OSError):
            self._flush()

    def add(self, images: Sequence[str], fingerprints: Sequence[str], vectors: np.ndarray) -> None:
        """Adds images by their keys, with their fingerprints and embeddings `[B, D]`."""
        self._images += images
        self._fingerprints += fingerprints
        self._vectors.append(vectors)
        overdue = time.monotonic() - self._began >= PART_SECONDS
        if len(self._images) >= PART_ROWS or overdue:
            self._flush()

    def _flush(self) -> None:
        images, fingerprints, vectors = self._images, self._fingerprints, self._vectors
        self._images, self._fingerprints, self._vectors = [], [], []
        if images:
            self._parts.add(images, fingerprints, np.concatenate(vectors))
        self._began = time.monotonic()
