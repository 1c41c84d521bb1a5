"""What all readers of files share: the tree they read from, and the collection they make of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Protocol

import pandas as pd

from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import TABLE_NAMES
from herbzoo.data.records import FIELD, HERBARIUM, Collection, ImageSource

_log = logging.getLogger(__name__)

SPLIT_FOLDERS = frozenset({"train", "validation", "val", "valid", "test"})
"""Folders, in lower case, that stand for a split."""
DOMAIN_FOLDERS = {
    "herbarium": HERBARIUM,
    "pressed": HERBARIUM,
    "field": FIELD,
    "photo": FIELD,
}
"""Folders, in lower case, that stand for a domain, and the `basisOfRecord` of what is in them."""
MARKERS = frozenset(
    {*TABLE_NAMES, "metadata.json", "train_metadata.json", "species_list.txt", "meta.xml"}
)
"""Files that are at the top of a collection, and never in the folder of a species."""
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

    def top_files(self, inside: str = "") -> list[str]:
        """Returns the names of the files at the top, or in a folder."""
        ...

    def folders(self, inside: str = "") -> list[str]:
        """Returns the names of the folders at the top, or in a folder."""
        ...

    def images(self) -> list[str]:
        """Returns the paths of all images."""
        ...

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns those paths at which there is no file."""
        ...

    def unlisted(self, keys: Iterable[str]) -> list[str]:
        """Returns the paths of the images that are not among these."""
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


class Reader(Protocol):
    """A module of this package that reads one layout of files."""

    def recognise(self, tree: FileTree) -> bool:
        """Tells by looking whether a tree has the layout."""
        ...

    def read(self, tree: FileTree, reading: Reading) -> Collection:
        """Reads a tree that was recognised; see `Reading` for what becomes of bad rows."""
        ...


def is_wrapper(top: str, inside: Sequence[str]) -> bool:
    """Tells whether the only folder of an archive wraps a collection, and is no species itself."""
    if top.lower() in SPLIT_FOLDERS or top.lower() in DOMAIN_FOLDERS:
        return False
    return any(name in MARKERS for name in inside) or all("/" in name for name in inside)


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
        "images_not_listed": "images are not listed and are left out",
        "listed_in_train_and_test": "images are in lists of several splits, and kept for testing",
    }.items():
        if facts.get(fact):
            _log.warning("%s: %s %s", name, f"{facts[fact]:,}", meaning)
    return Collection(frame.reset_index(drop=True), images, name, facts)


def first_folder(tree: FileTree, folders: Sequence[str], names: pd.Series) -> str:
    """Returns the folder, of several, in which the first files are found; else the first folder.

    Args:
        tree: the folder or archive.
        folders: where the files may be, each '' or with a slash at its end.
        names: paths from one of them; the first, the middle and the last are looked for.
    """
    some = sorted({0, len(names) // 2, len(names) - 1}) if len(names) else []
    sample = [name for name in names.iloc[some] if ".." not in name and not name.startswith("/")]
    there = (
        folder
        for folder in folders
        if len(tree.missing([folder + name for name in sample])) < len(sample)
    )
    return next(there, folders[0])


def first_of(values: Sequence[str], shown: int = 3) -> str:
    """Returns the first few of some values, as an error names them."""
    return ", ".join(values[:shown]) + (", ..." if len(values) > shown else "")
