"""A folder or an archive whose images are listed in a table."""

from __future__ import annotations

import posixpath
from pathlib import PureWindowsPath
from typing import Any

import pandas as pd

from herbzoo.data.readers import arrow
from herbzoo.data.readers.columns import darwin_core
from herbzoo.data.readers.folders import FolderTree
from herbzoo.data.readers.layouts import FileTree, collection, first_of
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import TABLE_NAMES, read_table
from herbzoo.data.records import Collection, Skipped
from herbzoo.errors import DataError


def recognise(tree: FileTree) -> bool:
    """Tells whether there is a table called `metadata` at the top.

    Raises:
        DataError: if there are two.
    """
    return find_table(tree) is not None


def read(tree: FileTree, reading: Reading) -> Collection:
    """Reads what the tree's table lists, and counts the images that it does not."""
    table = find_table(tree)
    if table is None:
        raise DataError(f"{tree.name} has no table ({', '.join(TABLE_NAMES)})")
    return read_named(tree, table, reading, whole=True)


def find_table(tree: FileTree) -> str | None:
    """Returns the name of the tree's table, or None.

    Raises:
        DataError: if there are two.
    """
    tables = [name for name in tree.top_files() if name in TABLE_NAMES]
    if len(tables) > 1:
        raise DataError(f"{tree.name} has {' and '.join(tables)}: name the one that counts")
    return tables[0] if tables else None


def read_named(tree: FileTree, table: str, reading: Reading, *, whole: bool = False) -> Collection:
    """Reads the images of a tree that one table lists.

    Where names are required, the collection is to be complete, and an image that is not there is
    an error. Where they are not, it is left to fail when it is opened, and counted.

    Args:
        tree: the folder or archive.
        table: the name of a file at its top.
        reading: what the user asked.
        whole: whether the table is to list all images of the tree; those it does not are counted.
    """
    if isinstance(tree, FolderTree) and table.lower().endswith(".parquet"):
        path = tree.root / table
        if arrow.has_embedded_images(path):
            return arrow.open_parquet(path, reading)
    where = posixpath.join(tree.name, table)
    with tree.open(table) as stream:
        frame = read_table(stream, where, reading)
    described, facts = darwin_core(frame, where, reading)
    described = inside(described, tree, where, reading)
    described, facts["missing_files"] = present(described, tree, where, reading)
    facts["reader"] = "table"
    if whole and reading.names_required:
        listed = {*frame[facts["image_column"]].str.strip(), *described["image"]}
        facts["images_not_listed"] = len(tree.unlisted(listed))
    return collection(described, tree.source(), tree.name, facts)


def present(
    frame: pd.DataFrame, tree: FileTree, where: str, reading: Reading
) -> tuple[pd.DataFrame, int]:
    """Returns the rows whose images are there, and of how many they are not.

    Where names are not required, all rows are returned: an image that is not there fails when it
    is opened. Where they are, such a row is a bad one.
    """
    missing = tree.missing(frame["image"].unique().tolist())
    if not missing or not reading.names_required:
        return frame, len(missing)
    gone = frame["image"].isin(missing)
    dangling = frame.loc[gone, "image"]
    reading.bad(
        [
            Skipped(f"{where} row {row + 1}", f"{image}: there is no such file")
            for row, image in zip(dangling.index.tolist(), dangling.tolist(), strict=True)
        ],
        f"{where} names {frame['image'].nunique():,} images, and {len(missing):,} of them are "
        f"missing files: {first_of(missing)}",
    )
    if gone.all():
        raise DataError(f"{where}: none of the images it names is there ({first_of(missing)})")
    return frame[~gone], 0


def inside(frame: pd.DataFrame, tree: FileTree, where: str, reading: Reading) -> pd.DataFrame:
    """Returns the rows with their paths as keys of the tree.

    Paths that lead out of the tree, and web addresses, are bad rows.
    """
    odd = frame.loc[frame["image"].str.contains(r"\\|^/|(?:^|/)\.|//|:", regex=True), "image"]
    keys: dict[Any, str] = {}
    bad: dict[Any, Skipped] = {}
    # Rows are numbered as the table counts, gaps included.
    for row, path in zip(odd.index.tolist(), odd.tolist(), strict=True):
        try:
            keys[row] = _key(path, tree)
        except DataError as error:
            bad[row] = Skipped(f"{where} row {row + 1}", str(error))
    reading.bad(list(bad.values()))
    if odd.empty:
        return frame
    frame = frame.drop(index=list(bad))
    if frame.empty:
        raise DataError(f"{where}: no row names an image inside of {tree.name}")
    frame.loc[list(keys), "image"] = list(keys.values())
    return frame


def _key(path: str, tree: FileTree) -> str:
    if "://" in path:
        raise DataError(f"names a web address ({path}); download the images first")
    key: str | None = path.replace("\\", "/")  # as written on Windows
    if posixpath.isabs(str(key)):
        key = tree.relative(str(key))
    key = posixpath.normpath(key) if key else ".."
    if key.split("/")[0] in ("..", ".") or PureWindowsPath(key).drive:
        raise DataError(f"names a file outside of {tree.name} ({path}); keep images inside")
    return key
