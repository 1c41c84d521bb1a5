"""Putting rows into an index: from a file of embeddings, in parts that are committed one by one.

What was committed stays when a build is killed; the next one goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from herbzoo.data.records import ImageSource
from herbzoo.errors import RunError
from herbzoo.index.embedding_table import FINGERPRINT, IMAGE, EmbeddingTable
from herbzoo.index.filters import one_of
from herbzoo.index.specimen_rows import (
    RowShape,
    changed_rows,
    completed,
    with_own_determinations,
)
from herbzoo.index.thumbnails import thumbnails_of

if TYPE_CHECKING:
    from lancedb.table import LanceTable

COMMITTED_BYTES = 2**26
"""Of vectors that are committed at once."""
COMMITTED_PICTURES = 2_048
"""Thumbnails that are committed at once, as they take far longer to make."""
LOOKED_UP = 2_048
"""Rows whose images are looked up in an index at a time."""

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Added:
    """What became of the rows of a file."""

    new: int = 0
    changed: int = 0
    same: int = 0
    """Rows that were there already, just so."""
    repeated: int = 0
    """Rows left out because the file named their image before."""


@dataclass
class Intake:
    """Puts the rows of a file of embeddings into the table of an index.

    Args:
        table: of the index.
        embeddings: the file; its model is that of the index.
        images: what to make thumbnails from, if they are kept.
        progress: told how many more rows are done.
    """

    table: LanceTable
    embeddings: EmbeddingTable
    images: ImageSource | None = None
    progress: Progress = lambda rows: None
    _seen: set[str] = field(default_factory=set)
    _repeated: int = 0

    def __post_init__(self) -> None:
        """Learns where each column goes."""
        columns = (*self.embeddings.columns, FINGERPRINT)
        self._shape = RowShape.of(columns, self.embeddings.model)

    def fill(self, where: str) -> Added:
        """Writes all rows to a table that is empty, or that holds the first of them already.

        Raises:
            RunError: if the table holds something else.
        """
        done = self._skip_those_there(where)
        new = 0
        for rows in self._gathered(self._unlike(done)):
            self.table.add(self._ready(rows))
            new += len(rows)
            self.progress(len(rows))
        return Added(new=new, same=done, repeated=self._repeated)

    def merge(self) -> Added:
        """Adds new rows and replaces those that differ, by their images."""
        self._add_missing_columns()
        new = changed = same = 0
        for batch in self.embeddings.batches(rows=LOOKED_UP):
            rows = self._first_of_each(self._shape.rows(batch, self.table.schema))
            stored = self._stored(rows[IMAGE].to_pylist())
            rows = with_own_determinations(rows, stored)
            fresh, differing = changed_rows(rows, stored)
            if len(fresh):
                self.table.add(self._ready(rows.take(fresh)))
            if len(differing):
                replacement = self._ready(rows.take(differing))
                self.table.merge_insert(IMAGE).when_matched_update_all().execute(replacement)
            new, changed = new + len(fresh), changed + len(differing)
            same += len(rows) - len(fresh) - len(differing)
            self.progress(len(batch))
        return Added(new, changed, same, self._repeated)

    def _stored(self, images: list[str]) -> pa.Table:
        found: Any = self.table.search().where(one_of(IMAGE, images)).limit(None)
        return found.to_arrow()

    def _add_missing_columns(self) -> None:
        there = set(self.table.schema.names)
        wanted = [field for field in self._shape.schema if field.name not in there]
        if wanted:
            self.table.add_columns(pa.schema([pa.field(one.name, one.type) for one in wanted]))

    def _skip_those_there(self, where: str) -> int:
        """Checks that a table holds the first rows of the file, and returns how many."""
        there = self.table.count_rows()
        if not there:
            return 0
        stored = (image for part in self._images_there() for image in part)
        given = (image for image in self._images_given() if self._is_first(image))
        for number, (one, other) in enumerate(zip_longest(stored, given)):
            if number == there:
                break
            if one != other:
                raise RunError(
                    f"{where} holds part of an index of other embeddings than "
                    f"{self.embeddings.where}: delete it, or choose another place"
                )
        self.progress(there)
        self._seen.clear()
        self._repeated = 0
        return there

    def _images_there(self) -> Iterator[list[str]]:
        for batch in self.table.search().select([IMAGE]).limit(None).to_batches():
            yield batch.column(IMAGE).to_pylist()

    def _images_given(self) -> Iterator[str]:
        for batch in self.embeddings.batches([IMAGE], 65_536):
            yield from batch.column(IMAGE).to_pylist()

    def _unlike(self, done: int) -> Iterator[pa.Table]:
        """Yields the rows of the file, each image once, without the first `done`."""
        for batch in self.embeddings.batches():
            rows = self._first_of_each(self._shape.rows(batch, self.table.schema))
            skipped = min(done, len(rows))
            done -= skipped
            if skipped < len(rows):
                yield rows.slice(skipped)

    def _gathered(self, parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yields rows in parts of the size of a commit."""
        most = COMMITTED_BYTES // (4 * self.embeddings.model.dimension)
        if self.images is not None:
            most = min(most, COMMITTED_PICTURES)
        waiting: list[pa.Table] = []
        for rows in parts:
            waiting.append(rows)
            if sum(map(len, waiting)) >= most:
                yield pa.concat_tables(waiting)
                waiting = []
        if waiting:
            yield pa.concat_tables(waiting)

    def _ready(self, rows: pa.Table) -> pa.Table:
        if self.images is None:
            return completed(rows)
        return completed(rows, thumbnails_of(self.images, rows[IMAGE].to_pylist()))

    def _first_of_each(self, rows: pa.Table) -> pa.Table:
        """Leaves out rows whose image came before."""
        kept = [
            place for place, image in enumerate(rows[IMAGE].to_pylist()) if self._is_first(image)
        ]
        self._repeated += len(rows) - len(kept)
        return rows if len(kept) == len(rows) else rows.take(kept)

    def _is_first(self, image: str) -> bool:
        if image in self._seen:
            return False
        self._seen.add(image)
        return True
