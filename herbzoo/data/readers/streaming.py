"""Data sets on the Hub, read from there: their text at once, their images when they are opened.

The commit is looked up once, at opening, and everything is read at that commit. Of the Parquet
files, only the footers and the text columns are fetched; a row group's images are fetched when the
first of them is opened, and kept on disk for all processes (`herbzoo.data.table_cache`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from herbzoo.data.images import reason_of
from herbzoo.data.readers.arrow import require_on_hub
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.shard_names import ShardName, exported_names, shard_names
from herbzoo.data.readers.shards import shard_collection
from herbzoo.data.records import Collection
from herbzoo.data.table_cache import TableCache, stream_cache
from herbzoo.errors import DataError, ImageError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_Read = TypeVar("_Read")

EXPORT = "refs/convert/parquet"
"""Branch in which the Hub keeps data sets of other formats as Parquet."""
_KEPT = 32
"""Row groups that are kept mapped into memory, in each process."""


@dataclass(frozen=True)
class HubShards:
    """Shards of a data set on the Hub at one commit."""

    name: str
    """Its id, `org/name`."""
    commit: str
    cache: TableCache
    sizes: tuple[tuple[str, int], ...] = field(compare=False)
    """Path and bytes of each shard; the commit decides them."""

    def footer(self, path: str) -> pq.FileMetaData:
        """Returns the schema and the row groups of a shard.

        Raises:
            DataError: if the Hub cannot be reached.
        """
        try:
            return _footer(self, path)
        except _Unreachable as error:
            raise DataError(f"{self.name}: {path} cannot be fetched ({error})") from error

    def texts(self, path: str, columns: Sequence[str]) -> pa.Table:
        """Returns some columns of all rows of a shard.

        Raises:
            DataError: if the Hub cannot be reached.
        """
        footer = self.footer(path)

        def fetch() -> pa.Table:
            return self._read(path, lambda file: file.read(columns=list(columns)), footer)

        try:
            return self.cache.get(f"{self._place(path)}#{','.join(columns)}", fetch)
        except _Unreachable as error:
            raise DataError(f"{self.name}: {path} cannot be fetched ({error})") from error

    def images(self, path: str, group: int, column: str) -> pa.ChunkedArray:
        """Returns the column of images of one row group.

        Raises:
            ImageError: if the Hub cannot be reached.
        """
        try:
            return _row_group(self, path, group, column)
        except _Unreachable as error:
            raise ImageError(
                f"{self.name}: {path} row group {group} cannot be fetched ({error})"
            ) from error

    def stamp(self, path: str) -> str:
        """Returns the place of a shard, whose content never changes."""
        return self._place(path)

    def _place(self, path: str) -> str:
        return f"datasets/{self.name}@{self.commit}/{path}"

    def _read(
        self,
        path: str,
        what: Callable[[pq.ParquetFile], _Read],
        footer: pq.FileMetaData | None = None,
    ) -> _Read:
        """Opens a shard on the Hub, of which only what is asked for is fetched."""
        import pyarrow as pa
        import pyarrow.parquet as pq
        from huggingface_hub import HfFileSystem

        size = dict(self.sizes)[path]
        try:
            # Without a cache of its own: its block of 5 MB would be fetched for every few bytes.
            with HfFileSystem().open(
                self._place(path), "rb", cache_type="none", size=size
            ) as stream:
                return what(pq.ParquetFile(stream, metadata=footer, pre_buffer=True))
        except pa.ArrowInvalid:
            raise
        except Exception as error:  # the classes of network errors differ between versions
            raise _Unreachable(reason_of(error)) from error


class _Unreachable(Exception):
    """The Hub does not answer, or not with the file."""


def open_stream(repo_id: str, reading: Reading) -> Collection:
    """Opens a data set on the Hub without downloading its images.

    Raises:
        DataError: if there is none of that id, the Hub cannot be reached, or neither the data set
            nor the Hub's export of it consists of Parquet files with images and names.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise DataError(
            f"{repo_id!r} cannot be streamed while HF_HUB_OFFLINE is set: leave out --streaming to "
            "use what was downloaded before"
        )
    commit = require_on_hub(repo_id)
    try:
        sizes = _files(repo_id, commit)
        shards = shard_names(sizes, _card(repo_id, commit, sizes), repo_id)
        if not shards:
            commit, sizes, shards = _export(repo_id)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"the files of the data set {repo_id!r} cannot be listed ({reason_of(error)})"
        ) from error
    if not shards:
        raise DataError(
            f"{repo_id!r} cannot be streamed, because it is not made of Parquet files and the Hub "
            "has no export of it to Parquet: leave out --streaming to download it"
        )
    used = tuple((shard.path, sizes[shard.path]) for shard in shards)
    collection = shard_collection(HubShards(repo_id, commit, stream_cache(), used), shards, reading)
    return replace(collection, facts={**collection.facts, "commit": commit, "streamed": True})


def _files(repo_id: str, commit: str) -> dict[str, int]:
    """Returns the paths of all files at a commit, with their bytes."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    listed = HfApi().list_repo_tree(repo_id, recursive=True, revision=commit, repo_type="dataset")
    return {entry.path: entry.size for entry in listed if isinstance(entry, RepoFile)}


def _card(repo_id: str, commit: str, files: Mapping[str, int]) -> str:
    from huggingface_hub import HfFileSystem

    if "README.md" not in files:
        return ""
    content: Any = HfFileSystem().cat_file(f"datasets/{repo_id}@{commit}/README.md")
    return bytes(content).decode("utf-8", "replace")


def _export(repo_id: str) -> tuple[str, dict[str, int], list[ShardName]]:
    """Returns the commit, the files and the shards of the Hub's own export, if there is one."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        commit = str(HfApi().dataset_info(repo_id, revision=EXPORT, timeout=20).sha)
    except RevisionNotFoundError:
        return "", {}, []
    sizes = _files(repo_id, commit)
    return commit, sizes, exported_names(sizes, repo_id)


@lru_cache(maxsize=4096)
def _footer(files: HubShards, path: str) -> pq.FileMetaData:
    return files._read(path, lambda file: file.metadata)


@lru_cache(maxsize=_KEPT)
def _row_group(files: HubShards, path: str, group: int, column: str) -> pa.ChunkedArray:
    footer = _footer(files, path)  # before the cache is asked, which must not be asked in turn
    if not 0 <= group < footer.num_row_groups:
        raise IndexError(group)

    def fetch() -> pa.Table:
        # One thread: this runs in the worker processes of a loader.
        return files._read(
            path,
            lambda file: file.read_row_group(group, columns=[column], use_threads=False),
            footer,
        )

    return files.cache.get(f"{files._place(path)}#{group}#{column}", fetch).column(0)
