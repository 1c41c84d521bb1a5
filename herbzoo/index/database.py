"""The LanceDB table behind an index: where it is, what it says of itself, and who may write to it.

LanceDB commits every change whole or not at all, in a folder as on object storage. The model is
kept in the metadata of the table's schema, which never changes; what does change (`IndexFacts`) in
the metadata of the column of embeddings.
"""

from __future__ import annotations

import errno
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo.data.storage import is_url
from herbzoo.errors import DataError, HerbzooError, RunError
from herbzoo.index.embedding_table import EMBEDDING, METADATA_KEY, EmbeddingModel
from herbzoo.index.thumbnails import Thumbnails

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.db import DBConnection
    from lancedb.table import LanceTable

TABLE = "specimens"
SCHEMA_VERSION = 1
LOOK_AGAIN = timedelta(seconds=5)
"""How old an open index may be compared with what others have written."""
_LOCK = ".herbzoo.lock"
_FULL = re.compile(r"no space left|os error 28\b|disk quota|os error 122\b", re.IGNORECASE)
_CLOSED = re.compile(r"permission denied|os error 13\b|read-only file|os error 30\b", re.IGNORECASE)
_GONE = re.compile(r"not found|does not exist|os error 2\b", re.IGNORECASE)


@dataclass(frozen=True)
class SearchPlan:
    """How the vectors are looked through."""

    partitions: int = 0
    """Groups of alike vectors; 0 if every vector is looked at."""
    probes: int = 0
    """Partitions that are looked at for a query without a filter."""
    rows: int = 0
    """How many vectors there were when this was chosen."""
    recall: float = 1.0
    """Share of the 10 truly nearest that were found then, for rows of the index as queries."""


@dataclass(frozen=True)
class IndexFacts:
    """What an index says of itself, apart from its model."""

    thumbnails: Thumbnails = "none"
    images: str = ""
    """The collection that linked thumbnails are made from, as it was given."""
    complete: bool = False
    """Whether it was built to the end."""
    plan: SearchPlan = field(default_factory=SearchPlan)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, table: LanceTable, where: str) -> IndexFacts:
        """Reads what a table says.

        Raises:
            RunError: if it is no index of ours, or of a newer herbzoo.
        """
        text = (table.schema.field(EMBEDDING).metadata or {}).get(METADATA_KEY, b"{}")
        try:
            facts: Mapping[str, Any] = json.loads(text)
            version = int(facts["schema_version"])
            if version > SCHEMA_VERSION:
                raise RunError(
                    f"{where} was built by a newer herbzoo: upgrade with `pip install -U herbzoo`"
                )
            plan = SearchPlan(**{f.name: facts["plan"][f.name] for f in fields(SearchPlan)})
            return cls(facts["thumbnails"], str(facts["images"]), facts["complete"], plan)
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{where} is no specimen index, but another LanceDB table") from error

    def keep(self, table: LanceTable) -> None:
        """Writes this to a table."""
        updates = {"path": EMBEDDING, "metadata": {METADATA_KEY.decode(): self.to_json()}}
        table.update_field_metadata(updates)

    def to_json(self) -> str:
        """Returns what a table keeps of it."""
        return json.dumps(asdict(self))


def place_of(where: str | Path) -> str:
    """Returns where an index is, as LanceDB takes it: a URL, or a path without `~`."""
    text = str(where)
    return text if is_url(text) else str(Path(text).expanduser())


def open_table(where: str) -> LanceTable:
    """Opens the table of an index.

    Raises:
        RunError: if there is none.
        HerbzooError: if the storage cannot be reached, or LanceDB is not installed.
    """
    table = find_table(where)
    if table is None:
        raise RunError(
            f"there is no specimen index at {where}: build one with `herbzoo index build`"
        )
    return table


def find_table(where: str) -> LanceTable | None:
    """Opens the table of an index, if there is one.

    Raises:
        RunError: if it is the table of somebody else.
        HerbzooError: if the storage cannot be reached, or LanceDB is not installed.
    """
    if not is_url(where) and not (Path(where) / f"{TABLE}.lance").is_dir():
        return None  # before connecting, which makes a folder
    with reported(where):
        try:
            table: Any = connect(where).open_table(TABLE)
        except ValueError as error:
            if "not found" in str(error):
                return None
            raise
    if EMBEDDING not in table.schema.names:
        raise RunError(f"{where} is no specimen index, but another LanceDB table")
    return table


def begin_table(where: str, schema: pa.Schema, facts: IndexFacts) -> LanceTable:
    """Makes an empty table that says so of itself from the start."""
    place = schema.get_field_index(EMBEDDING)
    field = schema.field(place).with_metadata({METADATA_KEY: facts.to_json().encode()})
    table: Any = connect(where).create_table(TABLE, schema=schema.set(place, field))
    return table


def model_of(table: LanceTable, where: str) -> EmbeddingModel:
    """Reads which model the embeddings of an index are from.

    Raises:
        DataError: if it does not say so, or is of a newer herbzoo.
    """
    return EmbeddingModel.from_json((table.schema.metadata or {}).get(METADATA_KEY, b""), where)


def connect(where: str) -> DBConnection:
    """Connects to the database at a place."""
    # Its warnings about its own future would stand between the user's results.
    os.environ.setdefault("LANCE_LOG", "error")
    try:
        import lancedb
    except ImportError as error:
        raise HerbzooError('the index needs LanceDB: pip install "herbzoo[search]"') from error
    # Processes forked here decode images and never touch the database.
    warnings.filterwarnings("ignore", "lancedb fork support is experimental", RuntimeWarning)
    return lancedb.connect(where, read_consistency_interval=LOOK_AGAIN)


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Holds an index for one process; on object storage that is left to the user.

    Raises:
        RunError: if another process writes to it now.
    """
    if is_url(where):
        yield
        return
    from filelock import FileLock, Timeout

    folder = Path(where)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{where} is a file: give the index a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout as error:
        raise RunError(
            f"another process is writing to {where}: wait for it, then run this again"
        ) from error


@contextmanager
def reported(where: str) -> Iterator[None]:
    """Says what the user can put right of LanceDB's errors, which are of a few kinds only.

    Raises:
        OSError: if the disk is full or closed to the user.
        HerbzooError: if an object storage refuses, or a file of the index is missing.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        text = str(error)
        if _FULL.search(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), where) from error
        if _CLOSED.search(text):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), where) from error
        if is_url(where):
            raise HerbzooError(f"{where} cannot be used: {_first_words(text)}") from error
        if isinstance(error, RuntimeError) and _GONE.search(text):
            raise DataError(
                f"{where} is damaged, a file of it is missing: build it anew with "
                "`herbzoo index build`"
            ) from error
        raise


def _first_words(text: str) -> str:
    return " ".join(text.split())[:200]
