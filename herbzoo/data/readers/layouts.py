"""The layouts of a folder or an archive: a table, folders of classes, or images alone."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import PureWindowsPath
from typing import Any, BinaryIO, Protocol

import pandas as pd

from herbzoo.data.readers.columns import as_name, darwin_core, normalise_split
from herbzoo.data.readers.tables import TABLE_NAMES, is_table_path, read_table
from herbzoo.data.records import FIELD, HERBARIUM, Collection, ImageSource
from herbzoo.errors import DataError

_log = logging.getLogger(__name__)

_SPLIT_FOLDERS = frozenset({"train", "validation", "val", "valid", "test"})
_DOMAIN_FOLDERS = {
    "herbarium": HERBARIUM,
    "pressed": HERBARIUM,
    "field": FIELD,
    "photo": FIELD,
}
LAYOUTS = (
    "a folder with metadata.csv (or .tsv, .jsonl, .parquet), or with a folder of images a species, "
    "which may lie below train, validation, test or herbarium, field"
)
"""The layouts of files that are known, as errors name them."""


class FileTree(Protocol):
    """A folder or an archive; see `FolderTree`."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    def top_files(self) -> list[str]:
        """Returns the names of the files at the top."""
        ...

    def images(self) -> list[str]:
        """Returns the paths of all images."""
        ...

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns those paths at which there is no file."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Opens one file for reading."""
        ...

    def source(self) -> ImageSource:
        """Returns where the images are read from."""
        ...

    def relative(self, path: str) -> str | None:
        """Returns an absolute path as one inside the tree, or None."""
        ...


def is_wrapper(top: str, inside: Sequence[str]) -> bool:
    """Tells whether the only folder of an archive wraps a collection, and is no species itself."""
    if top.lower() in _SPLIT_FOLDERS or top.lower() in _DOMAIN_FOLDERS:
        return False
    return any(name in TABLE_NAMES for name in inside) or all("/" in name for name in inside)


def find_table(tree: FileTree) -> str | None:
    """Returns the name of the tree's table, or None.

    Raises:
        DataError: if there are two.
    """
    tables = [name for name in tree.top_files() if name in TABLE_NAMES]
    if len(tables) > 1:
        raise DataError(f"{tree.name} has {' and '.join(tables)}: name the one that counts")
    return tables[0] if tables else None


def read_listed(
    tree: FileTree, table: str, *, name_column: str | None, names_required: bool
) -> Collection:
    """Reads a tree whose table lists its images.

    Where names are required, the collection is to be complete, and an image that is not there is
    an error. Where they are not, it is left to fail when it is opened, and counted.
    """
    where = posixpath.join(tree.name, table)
    with tree.open(table) as stream:
        frame = read_table(stream, where)
    frame, facts = darwin_core(frame, where, name_column=name_column, names_required=names_required)
    frame["image"] = _inside(frame["image"], tree, where)
    missing = tree.missing(frame["image"].unique())
    if missing and names_required:
        raise DataError(
            f"{where} names {frame['image'].nunique():,} images, and {len(missing):,} of them are "
            f"missing files: {_first(missing)}"
        )
    facts |= {"reader": "table", "missing_files": len(missing)}
    return collection(frame, tree.source(), tree.name, facts)


def read_class_folders(tree: FileTree) -> Collection:
    """Reads a tree in which the folder of an image is its species.

    Raises:
        DataError: if there is no image, none is in a folder, or a folder's place is not known.
    """
    images = tree.images()
    if not images:
        raise DataError(f"{tree.name} has no images; herbzoo reads {LAYOUTS}")
    loose = [image for image in images if "/" not in image]
    if len(loose) == len(images):
        raise DataError(
            f"{tree.name} has images but neither a table nor folders that name their species; "
            f"herbzoo reads {LAYOUTS}"
        )
    folders = {posixpath.dirname(image) for image in images if "/" in image}
    placed = {folder: _place(folder, tree.name) for folder in folders}
    if len({bool(row["split"]) for row in placed.values()}) > 1:
        odd = min(folder for folder, row in placed.items() if not row["split"])
        raise DataError(f"{tree.name} has {odd!r} beside folders of splits; move it into one")
    rows = [
        {"image": image, **placed[posixpath.dirname(image)]} for image in images if "/" in image
    ]
    frame, _ = darwin_core(pd.DataFrame(rows, dtype=str), tree.name)
    facts: dict[str, Any] = {"reader": "class_folders", "images_without_folder": len(loose)}
    facts["tables_not_read"] = sum(is_table_path(name) for name in tree.top_files())
    return collection(frame, tree.source(), tree.name, facts)


def read_loose(tree: FileTree) -> Collection:
    """Reads all images of a tree, at any depth, without names.

    Raises:
        DataError: if there is none.
    """
    images = tree.images()
    if not images:
        raise DataError(f"{tree.name} has no images")
    return _unnamed(tree, images)


def read_one(tree: FileTree, image: str) -> Collection:
    """Reads one image of a tree, without a name."""
    return _unnamed(tree, [image])


def _unnamed(tree: FileTree, images: list[str]) -> Collection:
    frame = pd.DataFrame({"image": images}, dtype=str)
    frame, _ = darwin_core(frame, tree.name, names_required=False)
    return collection(frame, tree.source(), tree.name, {"reader": "images"})


def collection(
    frame: pd.DataFrame, images: ImageSource, name: str, facts: dict[str, Any]
) -> Collection:
    """Makes the collection, and warns of what was left out on the way."""
    for fact, meaning in {
        "rows_without_image": "rows name no image and are left out",
        "rows_without_name": "rows have no name and are left out",
        "missing_files": "images are not there",
        "tables_not_read": "tables beside the species folders are not read (name one to use it)",
        "images_without_folder": "images lie in no species folder and are left out",
    }.items():
        if facts.get(fact):
            _log.warning("%s: %s %s", name, f"{facts[fact]:,}", meaning)
    return Collection(frame.reset_index(drop=True), images, name, facts)


def _place(folder: str, where: str) -> dict[str, str]:
    *above, species = folder.split("/")
    row = {"scientificName": as_name(species), "split": "", "basisOfRecord": ""}
    if species.lower() in _SPLIT_FOLDERS or species.lower() in _DOMAIN_FOLDERS:
        raise DataError(
            f"{where} has images directly in {folder!r}; put them in a folder a species"
        )
    for part in above:
        if part.lower() in _SPLIT_FOLDERS and not row["split"]:
            row["split"] = normalise_split(part)
        elif part.lower() in _DOMAIN_FOLDERS and not row["basisOfRecord"]:
            row["basisOfRecord"] = _DOMAIN_FOLDERS[part.lower()]
        else:
            raise DataError(
                f"{where} has images in {folder!r}, and which of its folders is the species is not "
                f"clear; herbzoo reads {LAYOUTS}"
            )
    return row


def _inside(paths: pd.Series, tree: FileTree, where: str) -> pd.Series:
    """Returns the paths of a table as keys of its tree.

    Raises:
        DataError: if a path leads out of the tree, or is a web address.
    """
    odd = paths.str.contains(r"\\|^/|(?:^|/)\.|//|:", regex=True)
    if not odd.any():
        return paths
    changed = {}
    rows = paths.index.to_numpy()[odd.to_numpy()].tolist()  # as the table counts, gaps included
    for row, path in zip(rows, paths[odd].tolist(), strict=True):
        changed[path] = _key(path, tree, f"{where} row {row + 1}")
    return paths.map(lambda path: changed.get(path, path)).astype(paths.dtype)


def _key(path: str, tree: FileTree, row: str) -> str:
    if "://" in path:
        raise DataError(f"{row} names a web address ({path}); download the images first")
    key: str | None = path.replace("\\", "/")  # as written on Windows
    if posixpath.isabs(str(key)):
        key = tree.relative(str(key))
    key = posixpath.normpath(key) if key else ".."
    if key.split("/")[0] in ("..", ".") or PureWindowsPath(key).drive:
        raise DataError(f"{row} names a file outside of {tree.name} ({path}); keep images inside")
    return key


def _first(values: Sequence[str], shown: int = 3) -> str:
    return ", ".join(values[:shown]) + (", ..." if len(values) > shown else "")
