"""Opening a collection: one function, which tells by looking what it was given."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from herbzoo.data.images import is_image_path
from herbzoo.data.readers import arrow, layouts
from herbzoo.data.readers.archives import ARCHIVE_SUFFIXES, is_archive_path, open_archive
from herbzoo.data.readers.folders import FolderTree
from herbzoo.data.readers.tables import TABLE_SUFFIXES, is_table_path
from herbzoo.data.records import SIDECAR, Collection
from herbzoo.errors import DataError

__all__ = ["open_collection", "open_images"]

SYNTHETIC = "synthetic"
"""The collection that is drawn on the spot; a folder of that name is `./synthetic`."""


def open_collection(data: str | Path, *, name_column: str | None = None) -> Collection:
    """Opens a collection of named images.

    `data` is one of:

    - a folder with `metadata.csv`, `.tsv`, `.jsonl` or `.parquet`, whose rows name images in it;
    - such a table itself; its images are relative to the folder it is in;
    - a folder of folders named for species, also below `train`, `validation` and `test` and below
      `herbarium` (or `pressed`) and `field` (or `photo`), which give the split and the domain;
    - a zip or tar of any of these, read without extracting it;
    - a folder written by `save_to_disk` of the datasets library, or the id `org/name` of a data set
      on the Hub;
    - `synthetic`, or with settings `synthetic:species=30,seed=1,images_per_species=20`.

    Args:
        data: what to open; a folder or file that exists is never taken for a Hub id.
        name_column: the column with the names, if it is none of those tried (`scientificName`,
            then `herbzoo.data.readers.columns.NAME_COLUMNS`).

    Returns:
        The collection, with every column of `herbzoo.data.records.COLUMNS` and all others as text.

    Raises:
        DataError: if it is not there, is none of these, has no names or no images, or its table
            names images that are missing or lie outside of its folder.
    """
    return _open(data, name_column=name_column, names_required=True)


def open_images(data: str | Path) -> Collection:
    """Opens images to be identified, whose names need not be known.

    Takes what `open_collection` takes, one image file, and a folder or archive with images at any
    depth. `scientificName` is empty where a table does not give it; names of folders are not taken
    for names of species. An image that a table names and that is not there fails when opened.

    Raises:
        DataError: if there is nothing there, or no image in it.
    """
    return _open(data, name_column=None, names_required=False)


def _open(data: str | Path, *, name_column: str | None, names_required: bool) -> Collection:
    text = os.fspath(data)
    if text.partition(":")[0] == SYNTHETIC:
        return _synthetic(text)
    path = Path(text).expanduser()
    if text and path.is_dir():
        return _open_folder(path, text, name_column, names_required)
    if path.is_file():
        return _open_file(path, text, name_column, names_required)
    if arrow.is_hub_id(text) and not is_archive_path(text) and not path.parent.is_dir():
        return arrow.open_hub(text, name_column=name_column, names_required=names_required)
    raise DataError(
        f"there is no file or folder {text!r}; give a folder, a table, an archive, a Hub id "
        f"(org/name) or {SYNTHETIC!r}"
    )


def _open_folder(path: Path, name: str, name_column: str | None, named: bool) -> Collection:
    if arrow.is_saved_dataset(path):
        return arrow.open_saved(path, name_column=name_column, names_required=named)
    tree = FolderTree(path, name)
    table = layouts.find_table(tree)
    if table is not None:
        collection = _open_table(tree, table, name_column, named)
    else:
        collection = _open_without_table(tree, name_column, named)
    return replace(collection, facts={**collection.facts, **_sidecar(path / SIDECAR)})


def _sidecar(path: Path) -> dict[str, Any]:
    """Reads what `herbzoo.data.synthetic.write_collection` left beside the images it drew."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}): delete it, or make it anew") from error
    return facts if isinstance(facts, dict) else {}


def _open_file(path: Path, name: str, name_column: str | None, named: bool) -> Collection:
    if is_archive_path(path):
        archive = open_archive(path, layouts.is_wrapper)
        table = layouts.find_table(archive)
        if table is None:
            return _open_without_table(archive, name_column, named)
        return layouts.read_listed(archive, table, name_column=name_column, names_required=named)
    if is_table_path(path.name):
        tree = FolderTree(path.parent, os.path.dirname(name) or ".")
        return _open_table(tree, path.name, name_column, named)
    if is_image_path(path) and not named:
        return layouts.read_one(FolderTree(path.parent, name), path.name)
    kind = "one image, not a collection" if is_image_path(path) else "no kind of file that is known"
    raise DataError(f"{name} is {kind}; herbzoo reads {_known()}")


def _open_without_table(tree: layouts.FileTree, name_column: str | None, named: bool) -> Collection:
    if name_column is not None:
        raise DataError(f"{tree.name} has no table, so there is no column {name_column!r} in it")
    return layouts.read_class_folders(tree) if named else layouts.read_loose(tree)


def _open_table(tree: FolderTree, table: str, name_column: str | None, named: bool) -> Collection:
    path = tree.root / table
    if path.suffix.lower() == ".parquet" and arrow.has_embedded_images(path):
        return arrow.open_parquet(path, name_column=name_column, names_required=named)
    return layouts.read_listed(tree, table, name_column=name_column, names_required=named)


def _synthetic(text: str) -> Collection:
    from herbzoo.data.synthetic import synthetic_collection

    known = list(inspect.signature(synthetic_collection).parameters)
    options: dict[str, int] = {}
    for setting in filter(None, text.partition(":")[2].split(",")):
        key, _, value = (part.strip() for part in setting.partition("="))
        if key not in known or not value.lstrip("-").isdigit():
            raise DataError(
                f"{text!r}: {setting!r} is no setting with a whole number; there are "
                f"{', '.join(known)}, as in synthetic:species=30,seed=1"
            )
        options[key] = int(value)
    return synthetic_collection(**options)


def _known() -> str:
    return (
        f"{layouts.LAYOUTS}; or a table ({', '.join(TABLE_SUFFIXES)}), an archive "
        f"({', '.join(ARCHIVE_SUFFIXES)}), a datasets folder, a Hub id (org/name), {SYNTHETIC}"
    )
