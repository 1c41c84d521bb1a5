"""The specimen index: records and embeddings of sheets in one database, searched by likeness.

A folder, or a place on object storage, that LanceDB reads and writes. It knows which model its
embeddings are from and refuses those of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.records import ImageSource
from herbzoo.errors import DataError, HerbzooError, RunError
from herbzoo.index import table_rows
from herbzoo.index.building import build
from herbzoo.index.database import IndexFacts, model_of, open_table, place_of, reported, writing
from herbzoo.index.description import IndexDescription
from herbzoo.index.determinations import Determination, Determined, determine
from herbzoo.index.embedding_table import (
    EMBEDDING,
    IMAGE,
    EmbeddingModel,
    EmbeddingTable,
    vectors_of,
)
from herbzoo.index.filters import known_column, one_of, to_sql
from herbzoo.index.intake import Added, Intake, Progress
from herbzoo.index.match import ImageMatches, Match
from herbzoo.index.nearest import nearest
from herbzoo.index.specimen_rows import THUMBNAIL, text_columns
from herbzoo.index.thumbnails import SIDE, Thumbnails, linked_images, thumbnail_of
from herbzoo.index.upkeep import settle, unsorted_rows

if TYPE_CHECKING:
    import pandas as pd
    from lancedb.table import LanceTable

    from herbzoo.inference import Identifier, ImageInput


def _silent(rows: int) -> None:
    """Shows no progress."""


class SpecimenIndex:
    """Sheets that can be found by what they look like, by their records, or by both.

    `create` or `open` one. Several processes may read an index while one writes to it.
    """

    def __init__(self, where: str, table: LanceTable) -> None:
        self.where = where
        self._table = table
        self._facts = IndexFacts.of(table, where)
        self._counts: dict[tuple[int, str, str], dict[str, int]] = {}
        self.model = model_of(table, where)
        """The model whose embeddings the index holds."""

    @classmethod
    def create(
        cls,
        where: str | Path,
        embeddings: str | Path,
        *,
        images: ImageSource | None = None,
        thumbnails: Thumbnails = "none",
        data: str = "",
        progress: Progress = _silent,
    ) -> SpecimenIndex:
        """Builds an index, or goes on with one whose building was interrupted.

        Args:
            where: a folder that is not there yet, or a URL such as `s3://bucket/index`.
            embeddings: the Parquet file that `herbzoo embed` wrote.
            images: the images of its rows; needed if thumbnails are `kept`.
            thumbnails: `kept` in the index; `linked`, made from the images when they are asked
                for; or `none`.
            data: the collection to open for linked thumbnails, as `open_images` takes it.
            progress: told how many more rows are done.

        Raises:
            RunError: if there is an index already, or another process builds it.
            DataError: if the file of embeddings is none, or is empty.
            HerbzooError: if there is nothing to make the thumbnails from.
        """
        place = place_of(where)
        source = EmbeddingTable.open(embeddings)
        if not len(source):
            raise DataError(f"{embeddings} has no rows: there is nothing to index")
        if (thumbnails == "kept" and images is None) or (thumbnails == "linked" and not data):
            raise HerbzooError(f"thumbnails that are {thumbnails} need the images: give --data too")
        facts = IndexFacts(thumbnails, data if thumbnails == "linked" else "")
        build(place, source, facts, images, progress)
        return cls.open(place)

    @classmethod
    def open(cls, where: str | Path) -> SpecimenIndex:
        """Opens an index.

        Raises:
            RunError: if there is none, it was not built to the end, or a newer herbzoo built it.
            HerbzooError: if the storage cannot be reached, or LanceDB is not installed.
        """
        place = place_of(where)
        index = cls(place, open_table(place))
        if not index._facts.complete:
            raise RunError(
                f"{where} was not built to the end: run its `herbzoo index build` again, which "
                "goes on where it was"
            )
        return index

    def __len__(self) -> int:
        """Returns the number of rows, one an image."""
        with reported(self.where):
            return self._table.count_rows()

    @property
    def columns(self) -> list[str]:
        """Names of the columns that can be shown and filtered by."""
        return text_columns(self._table.schema)

    def describe(self) -> IndexDescription:
        """Returns what the index holds and how it is searched."""
        with reported(self.where):
            rows = len(self)
            linked = self._facts.thumbnails == "linked"
            return IndexDescription(
                self.where,
                rows,
                len(self.counts("scientificName").keys() - {""}),
                len(self.counts("institutionCode").keys() - {""}),
                self.model,
                self._facts,
                tuple(name for name in self.columns if self._table.count_rows(f"`{name}` != ''")),
                rows if linked else self._table.count_rows(f"{THUMBNAIL} IS NOT NULL"),
                unsorted_rows(self._table),
            )

    def add(
        self,
        embeddings: str | Path,
        *,
        images: ImageSource | None = None,
        progress: Progress = _silent,
    ) -> Added:
        """Adds rows that are new and replaces those that changed, told by their `image`.

        They are found at once. A determination made in the index stays, unless the file has a
        later `dateIdentified`.

        Args:
            embeddings: the Parquet file that `herbzoo embed` wrote.
            images: the images of its rows; without them, added rows of an index that keeps
                thumbnails have none.
            progress: told how many more rows are done.

        Raises:
            RunError: if the embeddings are of another model, or another process writes.
        """
        source = EmbeddingTable.open(embeddings)
        self.model.check_same(source.model, self.where)
        with self._changing():
            kept = images if self._facts.thumbnails == "kept" else None
            added = Intake(self._table, source, kept, progress).merge()
        return added

    def delete(self, where: str) -> int:
        """Deletes the rows that a filter chooses, and returns how many those were.

        Raises:
            HerbzooError: if there is no filter, or it cannot be read.
        """
        condition = to_sql(where, self.columns)
        if not condition:
            raise HerbzooError("deleting takes a filter, as --where \"institutionCode = 'NY'\"")
        with self._changing():
            gone = self._table.count_rows(condition)
            if gone:
                self._table.delete(condition)
        return gone

    def search(
        self, vectors: np.ndarray, k: int = 10, where: str = "", exact: bool = False
    ) -> list[tuple[Match, ...]]:
        """Finds the sheets nearest to each of some embeddings, nearest first.

        Args:
            vectors: `[N, D]` of the index's model, of any length.
            k: sheets for each.
            where: a filter, such as `family = 'Fagaceae'`; see `herbzoo.index.filters`.
            exact: look at every vector, whatever the size of the index.

        Raises:
            HerbzooError: if the filter cannot be read, `k` is less than 1, the vectors have
                another width or parts that are no numbers.
        """
        from herbzoo.evaluation.retrieval import unit_vectors

        asked = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        if k < 1:
            raise HerbzooError(f"k is the number of sheets to find, at least 1, not {k}")
        if asked.shape[1] != self.model.dimension:
            raise HerbzooError(
                f"{self.where} holds embeddings of {self.model.dimension} numbers, not of "
                f"{asked.shape[1]}: they are from {self.model}"
            )
        condition = to_sql(where, self.columns)
        with reported(self.where):
            return nearest(
                self._table,
                self._facts.plan,
                unit_vectors(asked, "queries"),
                k,
                condition,
                exact=exact,
                thumbnails=self._facts.thumbnails,
            )

    def by_image(
        self,
        identifier: Identifier,
        images: ImageInput,
        k: int = 10,
        where: str = "",
        *,
        exact: bool = False,
        workers: int = 0,
    ) -> Iterator[ImageMatches]:
        """Finds the sheets nearest to each of some images.

        Args:
            identifier: the index's model.
            images: paths, Pillow images, or a collection.
            k: sheets for each.
            where: a filter.
            exact: look at every vector.
            workers: processes that decode images; 0 is none, -1 chooses.

        Yields:
            What was found, in the order of the images; of one that cannot be read, why.

        Raises:
            RunError: if it is another model.
            HerbzooError: if the filter cannot be read.
        """
        from herbzoo.index.image_search import embedded

        self.model.check_same(EmbeddingModel.of(identifier), self.where)
        self.check_filter(where)
        for batch in embedded(identifier, images, workers=workers):
            matches = iter(
                self.search(batch.vectors, k, where, exact) if len(batch.vectors) else []
            )
            for image, problem in batch.images:
                yield ImageMatches(image, () if problem else next(matches), problem)

    def check_filter(self, where: str) -> None:
        """Refuses a filter that cannot be read.

        Raises:
            HerbzooError: in one line that says what is wrong.
        """
        to_sql(where, self.columns)

    def rows(
        self, where: str = "", columns: Sequence[str] = (), limit: int = 100, offset: int = 0
    ) -> pd.DataFrame:
        """Returns records as text, in the order in which they were added.

        Args:
            where: a filter.
            columns: which to give; all that can be shown unless given.
            limit: the most rows.
            offset: rows to pass over first.
        """
        condition = to_sql(where, self.columns)
        wanted = [known_column(name, self.columns) for name in columns] or self.columns
        with reported(self.where):
            return table_rows.read(self._table, wanted, condition, limit, offset).to_pandas()

    def sample(self, count: int, where: str = "", seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
        """Returns some rows, drawn by chance, and their embeddings `[N, D]` of length 1."""
        condition = to_sql(where, self.columns)
        with reported(self.where):
            drawn = table_rows.sample(
                self._table, [*self.columns, EMBEDDING], condition, count, seed
            )
        return drawn.drop_columns([EMBEDDING]).to_pandas(), vectors_of(drawn)

    def counts(self, column: str, where: str = "") -> dict[str, int]:
        """Returns how many rows have each value of a column, the most frequent first.

        Raises:
            HerbzooError: if there is no such column, or the filter cannot be read.
        """
        condition, known = to_sql(where, self.columns), known_column(column, self.columns)
        with reported(self.where):
            version = self._table.version
            key = (version, known, condition)
            if key not in self._counts:
                self._counts = {k: v for k, v in self._counts.items() if k[0] == version}
                self._counts[key] = table_rows.value_counts(self._table, known, condition)
        return dict(self._counts[key])

    def thumbnail(self, image: str) -> bytes:
        """Returns a small JPEG of a sheet of the index.

        Raises:
            HerbzooError: if the index has no such image, or no thumbnail of it.
            ImageError: if a linked image cannot be read.
        """
        with reported(self.where):
            found = table_rows.read(self._table, [THUMBNAIL], one_of(IMAGE, [image]), 1)
        if not len(found):
            raise HerbzooError(f"{self.where} has no image {image!r}")
        picture = found[THUMBNAIL][0].as_py()
        if picture is not None:
            return picture
        if self._facts.thumbnails != "linked":
            raise HerbzooError(f"{self.where} keeps no thumbnail of {image}")
        return thumbnail_of(linked_images(self._facts.images).open(image, (SIDE, SIDE)))

    def determine(self, determinations: Sequence[Determination]) -> Determined:
        """Gives sheets the names they were determined as; see `herbzoo.index.determinations`.

        Raises:
            HerbzooError: if a determination has no name, or does not say which sheet it is of.
            RunError: if another process writes.
        """
        with self._changing():
            return determine(self._table, determinations)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Lets one process write, and does afterwards what the change makes due."""
        with writing(self.where), reported(self.where):
            yield
            plan = settle(self._table, self._facts.plan)
            if plan != self._facts.plan:
                self._facts = replace(self._facts, plan=plan)
                self._facts.keep(self._table)
