"""Images in the row groups of Parquet files, wherever the files are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from herbzoo.data.images import decode, reason_of
from herbzoo.errors import ImageError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL.Image import Image

_KEPT = 4
"""Row groups of a folder that are kept in memory, in each process."""


class ShardFiles(Protocol):
    """Where the shards of a data set are; hashable, and survives pickling to a worker process."""

    @property
    def name(self) -> str:
        """What the user called the data set."""
        ...

    def footer(self, path: str) -> pq.FileMetaData:
        """Returns the schema and the row groups of a shard."""
        ...

    def texts(self, path: str, columns: Sequence[str]) -> pa.Table:
        """Returns some columns of all rows of a shard."""
        ...

    def images(self, path: str, group: int, column: str) -> pa.ChunkedArray:
        """Returns the column of images of one row group.

        Raises:
            ImageError: if it cannot be had; the message says why.
        """
        ...

    def stamp(self, path: str) -> str:
        """Returns what changes when a shard does."""
        ...


@dataclass(frozen=True)
class FolderShards:
    """Shards in a folder on disk."""

    root: Path
    name: str

    def footer(self, path: str) -> pq.FileMetaData:
        """Returns the schema and the row groups of a shard."""
        import pyarrow.parquet as pq

        return pq.read_metadata(self.root / path)

    def texts(self, path: str, columns: Sequence[str]) -> pa.Table:
        """Returns some columns of all rows of a shard."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.root / path) as file:
            return file.read(columns=list(columns))

    def images(self, path: str, group: int, column: str) -> pa.ChunkedArray:
        """Returns the column of images of one row group."""
        if path.startswith("/") or ".." in path.split("/"):
            raise ImageError(f"{self.name}: {path} lies outside of it")
        return _row_group(self.root / path, self.stamp(path), group, column)

    def stamp(self, path: str) -> str:
        """Returns the path of a shard, its size and time of change."""
        try:
            found = (self.root / path).stat()
        except OSError as error:
            raise ImageError(f"{self.name}: {path}: {error.strerror}") from error
        return f"{(self.root / path).absolute()}:{found.st_size}:{found.st_mtime_ns}"


@dataclass(frozen=True)
class ShardImages:
    """Images in the row groups of Parquet files; keys are `path#row group#row in it`."""

    files: ShardFiles
    column: str

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes the image of one row; see `herbzoo.data.images.decode`."""
        return decode(self.encoded(key), min_size, f"{self.files.name}: {key}")

    def encoded(self, key: str) -> bytes:
        """Returns the image of one row as its file is."""
        import pyarrow as pa

        name = f"{self.files.name}: {key}"
        try:
            path, group, row = key.rsplit("#", 2)
            if not (group.isdecimal() and row.isdecimal()):  # -1 would count from the end
                raise IndexError(key)
            cell = self.files.images(path, int(group), self.column)[int(row)].as_py()
        except (ValueError, IndexError, KeyError) as error:
            raise ImageError(f"{name}: there is no such row") from error
        except (OSError, pa.ArrowException) as error:
            raise ImageError(f"{name}: cannot be read ({reason_of(error)})") from error
        content = cell if isinstance(cell, bytes) else (cell or {}).get("bytes")
        if content:
            return content
        elsewhere = (cell or {}).get("path")
        if elsewhere:
            raise ImageError(f"{name}: the row only names a file ({elsewhere}), it has no image")
        raise ImageError(f"{name}: the row has no image")

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the shard does."""
        return f"{self.files.stamp(key.rsplit('#', 2)[0])}:{key}"

    def blocks(self, keys: Sequence[str]) -> np.ndarray:
        """Returns a number for the row group of each image: those of one are read together."""
        groups = pd.Series(keys, dtype=object).str.rpartition("#")[0]
        return pd.factorize(groups)[0]


@lru_cache(maxsize=_KEPT)
def _row_group(path: Path, stamp: str, group: int, column: str) -> pa.ChunkedArray:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True, pre_buffer=True) as file:
        if not 0 <= group < file.num_row_groups:
            raise IndexError(group)
        # One thread: this runs in the worker processes of a loader.
        return file.read_row_group(group, columns=[column], use_threads=False).column(0)
