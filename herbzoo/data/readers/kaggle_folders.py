"""Kaggle Herbarium 2019: numbered folders of classes, and a test set without any."""

from __future__ import annotations

import posixpath
from typing import Any

import pandas as pd

from herbzoo.data.readers.columns import darwin_core
from herbzoo.data.readers.kaggle_fields import (
    CATEGORIES_2019,
    FOLDERS_2019,
    NAME_TABLES_2019,
    SPLIT_FOLDERS_2019,
)
from herbzoo.data.readers.layouts import FileTree, collection
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import read_table
from herbzoo.data.records import HERBARIUM, Collection, Skipped
from herbzoo.errors import DataError


def recognise(tree: FileTree) -> bool:
    """Tells whether there are numbered folders below `small-train` or `train`, and a flat test."""
    return bool(_folders(tree))


def read(tree: FileTree, reading: Reading) -> Collection:
    """Reads the folders; categories are named by a CSV beside them, or by their number.

    Raises:
        DataError: if there is no image.
    """
    folders = _folders(tree)
    names = _names(tree, reading)
    rows: list[dict[str, str]] = []
    bad: list[Skipped] = []
    beside = 0
    for image in tree.images():
        top, *inside = image.split("/")
        if top not in folders or len(inside) not in (1, 2):
            beside += 1
            continue
        category = inside[0] if len(inside) == 2 else ""
        if names and category and category not in names:
            bad.append(
                Skipped(f"{tree.name}/{image}", f"is of category {category}, which no table names")
            )
            continue
        name = names.get(category, category)
        rows.append(
            {"image": image, "scientificName": name, "taxonID": category, "split": folders[top]}
        )
    reading.bad(bad if reading.names_required else [])
    if not rows:
        raise DataError(f"{tree.name} has no images in {' or '.join(folders)}")
    frame = pd.DataFrame(rows, dtype=str)
    sure = _is_2019(tree, folders)
    constants = FOLDERS_2019.constants if sure else {}
    for name, value in {**constants, "basisOfRecord": HERBARIUM}.items():
        frame[name] = value
    frame, facts = darwin_core(frame, tree.name, reading)
    facts |= {"reader": "kaggle", "year": FOLDERS_2019.year if sure else ""}
    facts["images_without_folder"] = beside
    return collection(frame, tree.source(), tree.name, facts)


def _folders(tree: FileTree) -> dict[str, str]:
    """Returns the folders of splits, the small ones where there are both."""
    there = set(tree.folders())
    for start in ("small-", ""):
        train, test = f"{start}train", f"{start}test"
        if not {train, test} <= there:
            continue
        classes = tree.folders(train)
        if classes and all(name.isdecimal() for name in classes) and not tree.folders(test):
            splits = (train, f"{start}validation", test)
            return {name: SPLIT_FOLDERS_2019[name] for name in splits if name in there}
    return {}


def _is_2019(tree: FileTree, folders: dict[str, str]) -> bool:
    """Tells whether it is sure to be 2019: by the names of the small set, or by its classes."""
    train = next(folder for folder, split in folders.items() if split == "train")
    return train.startswith("small-") or len(tree.folders(train)) == CATEGORIES_2019


def _names(tree: FileTree, reading: Reading) -> dict[str, str]:
    """Returns the names of categories by a CSV at the top that has them; none was released."""
    for table in tree.top_files():
        if not table.lower().endswith(".csv"):
            continue
        where = posixpath.join(tree.name, table)
        with tree.open(table) as stream:
            frame = read_table(stream, where, reading)
        found: dict[str, Any] = {
            column: next((name for name in spellings if name in frame.columns), None)
            for column, spellings in NAME_TABLES_2019.items()
        }
        if None not in found.values():
            return dict(zip(frame[found["category"]], frame[found["scientificName"]], strict=True))
    return {}
