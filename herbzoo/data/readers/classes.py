"""A folder or an archive in which folders name the species, or of images without names."""

from __future__ import annotations

import posixpath
from contextlib import suppress
from typing import Any

import pandas as pd

from herbzoo.data.readers.columns import as_name, darwin_core, normalise_split
from herbzoo.data.readers.layouts import (
    DOMAIN_FOLDERS,
    LAYOUTS,
    SPLIT_FOLDERS,
    FileTree,
    collection,
)
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import is_table_path
from herbzoo.data.records import Collection
from herbzoo.errors import DataError


def recognise(tree: FileTree) -> bool:
    """Tells that any tree may be read for its images alone; to be asked last."""
    return True


def read(tree: FileTree, reading: Reading) -> Collection:
    """Reads the folders of species, or where names are not required all images there are.

    Raises:
        DataError: if there is no image, or it is not clear which folders are the species.
    """
    if reading.name_column is not None:
        column = reading.name_column
        raise DataError(f"{tree.name} has no table, so there is no column {column!r} in it")
    if reading.names_required:
        return _read_class_folders(tree, reading)
    if reading.named_by_folders:
        with suppress(DataError):  # the folders are others than those of species
            return _read_class_folders(tree, reading)
    return _read_loose(tree)


def _read_class_folders(tree: FileTree, reading: Reading) -> Collection:
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
    frame, _ = darwin_core(pd.DataFrame(rows, dtype=str), tree.name, reading)
    facts: dict[str, Any] = {"reader": "class_folders", "images_without_folder": len(loose)}
    facts["tables_not_read"] = sum(is_table_path(name) for name in tree.top_files())
    return collection(frame, tree.source(), tree.name, facts)


def _read_loose(tree: FileTree) -> Collection:
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
    frame, _ = darwin_core(frame, tree.name, Reading(names_required=False))
    return collection(frame, tree.source(), tree.name, {"reader": "images"})


def _place(folder: str, where: str) -> dict[str, str]:
    *above, species = folder.split("/")
    row = {"scientificName": as_name(species), "split": "", "basisOfRecord": ""}
    if species.lower() in SPLIT_FOLDERS or species.lower() in DOMAIN_FOLDERS:
        raise DataError(
            f"{where} has images directly in {folder!r}; put them in a folder a species"
        )
    for part in above:
        if part.lower() in SPLIT_FOLDERS and not row["split"]:
            row["split"] = normalise_split(part)
        elif part.lower() in DOMAIN_FOLDERS and not row["basisOfRecord"]:
            row["basisOfRecord"] = DOMAIN_FOLDERS[part.lower()]
        else:
            raise DataError(
                f"{where} has images in {folder!r}, and which of its folders is the species is not "
                f"clear; herbzoo reads {LAYOUTS}"
            )
    return row
