"""Folders of Parquet files that hold the images themselves, as `herbzoo data convert` writes them.

Text columns are read at once and images on demand, by row group, so that opening a data set of any
size costs no more than its text, wherever it is; `streaming` reads those on the Hub in the same
way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from herbzoo.data.conversion_folder import WORK
from herbzoo.data.images import reason_of
from herbzoo.data.readers.arrow import text_frame
from herbzoo.data.readers.columns import darwin_core
from herbzoo.data.readers.folders import FolderTree
from herbzoo.data.readers.layouts import FileTree, collection, first_of
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.shard_images import FolderShards, ShardFiles, ShardImages
from herbzoo.data.readers.shard_names import ShardName, missing_names, shard_names
from herbzoo.data.readers.tables import TABLE_NAMES
from herbzoo.data.records import Collection, Skipped
from herbzoo.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_FOLDERS = ("", "data", "train", "validation", "val", "test")
"""Where shards are looked for in a folder."""
_AT_A_TIME = 8
"""Shards whose text is read at the same time; those of the Hub take their time."""


def recognise(tree: FileTree) -> bool:
    """Tells whether there are Parquet files with images, or a conversion was left unfinished."""
    if not isinstance(tree, FolderTree):
        return False
    if (tree.root / WORK).is_dir():
        return True
    if any(name in TABLE_NAMES for name in tree.top_files()):
        return False
    found = _paths(tree)
    return bool(found) and _has_images(tree, found)


def read(tree: FileTree, reading: Reading) -> Collection:
    """Reads the text of a folder of shards; images are read when they are opened.

    Raises:
        DataError: if its conversion is unfinished, or unless bad ones are skipped if a shard is
            missing or damaged.
    """
    if not isinstance(tree, FolderTree):
        raise DataError(f"{tree.name} is no folder: unpack it, to read its Parquet files")
    if (tree.root / WORK).is_dir():
        raise DataError(
            f"{tree.name} holds an unfinished conversion: repeat the `herbzoo data convert` that "
            "began it"
        )
    readme = tree.root / "README.md"
    card = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    shards = shard_names(_paths(tree), card, tree.name)
    return shard_collection(FolderShards(tree.root, tree.name), shards, reading)


def shard_collection(
    files: ShardFiles, shards: Sequence[ShardName], reading: Reading
) -> Collection:
    """Makes a collection of shards, wherever they are.

    Raises:
        DataError: if they have no column of images or names, or no rows; unless bad ones are
            skipped, also if a shard is missing or damaged.
    """
    import datasets

    footers = _footers(files, shards, reading)
    if not any(footer.num_rows for footer in footers.values()):
        raise DataError(f"{files.name} has no rows")
    schema = next(iter(footers.values())).schema.to_arrow_schema()
    features = datasets.Features.from_arrow_schema(schema)
    image = image_column(schema, files.name)
    frames = []
    for (shard, footer), texts in zip(footers.items(), _texts(files, footers), strict=True):
        if image not in footer.schema.to_arrow_schema().names:
            raise DataError(f"{files.name}: {shard.path} has no column {image!r}, others have")
        frame = text_frame(texts, features)
        frame["image"] = _keys(shard.path, footer)
        if shard.split and "split" not in frame:
            frame["split"] = shard.split
        frames.append(frame)
    classes = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    frame, facts = darwin_core(
        pd.concat(frames, ignore_index=True).fillna(""),
        files.name,
        reading,
        other_name_columns=classes,
    )
    facts |= {"reader": "shards", "image_column": image, "shards": len(footers)}
    return collection(frame, ShardImages(files, image), files.name, facts)


def image_column(schema: pa.Schema, name: str) -> str:
    """Returns the column of encoded images.

    Raises:
        DataError: if there is none.
    """
    found = [field.name for field in schema if _holds_images(field)]
    if not found:
        raise DataError(
            f"{name} has no image column: it has {', '.join(schema.names)}, and one of them must "
            "be a datasets.Image"
        )
    return "image" if "image" in found else found[0]


def _holds_images(field: pa.Field) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(field.type):
        return field.type.get_field_index("bytes") >= 0
    return field.name == "image" and _is_binary(field.type)


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _text_columns(schema: pa.Schema) -> list[str]:
    """Returns the columns that are worth reading: neither images nor other files."""
    return [
        field.name for field in schema if not _holds_images(field) and not _is_binary(field.type)
    ]


def _footers(
    files: ShardFiles, shards: Sequence[ShardName], reading: Reading
) -> Mapping[ShardName, pq.FileMetaData]:
    import pyarrow as pa

    missing = [Skipped(f"{files.name}: {path}", "is missing") for path in missing_names(shards)]
    reading.bad(missing, f"{files.name} is not complete: {_first_paths(missing)} missing")
    footers: dict[ShardName, pq.FileMetaData] = {}
    damaged: list[Skipped] = []

    def footer(shard: ShardName) -> pq.FileMetaData | str:
        try:
            return files.footer(shard.path)
        except (pa.ArrowException, OSError) as error:
            return f"cannot be read as Parquet ({reason_of(error)})"

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for shard, found in zip(shards, pool.map(footer, shards), strict=True):
            if isinstance(found, str):
                damaged.append(Skipped(f"{files.name}: {shard.path}", found))
            else:
                footers[shard] = found
    reading.bad(damaged)
    return footers


def _texts(files: ShardFiles, footers: Mapping[ShardName, pq.FileMetaData]) -> Iterator[pa.Table]:
    """Yields the text columns of each shard."""

    def texts(shard: ShardName) -> pa.Table:
        return files.texts(shard.path, _text_columns(footers[shard].schema.to_arrow_schema()))

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        yield from pool.map(texts, footers)


def _first_paths(missing: Sequence[Skipped]) -> str:
    paths = [one.where.rpartition(": ")[2] for one in missing]
    return f"{first_of(paths)} {'is' if len(paths) == 1 else 'are'}"


def _keys(path: str, footer: pq.FileMetaData) -> list[str]:
    return [
        f"{path}#{group}#{row}"
        for group in range(footer.num_row_groups)
        for row in range(footer.row_group(group).num_rows)
    ]


def _paths(tree: FolderTree) -> list[str]:
    """Returns the Parquet files of a folder.

    Raises:
        DataError: if one is a link that leads out of it.
    """
    found = []
    for folder in _FOLDERS:
        if (tree.root / folder).is_dir():
            below = f"{folder}/" if folder else ""
            found += [below + name for name in _parquet_files(tree.root / folder)]
    tree.missing(found)  # refuses links that lead out
    return found


def _parquet_files(folder: Path) -> Iterable[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read ({error.strerror})") from error
    return [name for name in names if name.endswith(".parquet") and not name.startswith(".")]


def _has_images(tree: FolderTree, paths: Sequence[str]) -> bool:
    """Looks into the first file that can be read; the others are for `read` to complain about."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in paths:
        try:
            return any(map(_holds_images, pq.read_schema(tree.root / path)))
        except (pa.ArrowException, OSError):
            continue
    return True
