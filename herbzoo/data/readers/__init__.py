"""Opening a collection: one function, which tells by looking what it was given."""

from __future__ import annotations

import inspect
import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from herbzoo.data.images import is_image_path, reason_of
from herbzoo.data.readers import arrow, classes, dwca, kaggle, layouts, listed, plantclef, shards
from herbzoo.data.readers.archives import ARCHIVE_SUFFIXES, is_archive_path, open_archive
from herbzoo.data.readers.dwca_tables import has_links
from herbzoo.data.readers.folders import FolderTree
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.storage_tree import StorageTree
from herbzoo.data.readers.streaming import open_stream
from herbzoo.data.readers.tables import TABLE_SUFFIXES, is_table_path
from herbzoo.data.records import SIDECAR, Collection
from herbzoo.data.storage import filesystem, is_url
from herbzoo.errors import DataError

__all__ = ["open_collection", "open_images"]

SYNTHETIC = "synthetic"
"""The collection that is drawn on the spot; a folder of that name is `./synthetic`."""

READERS: tuple[layouts.Reader, ...] = (dwca, listed, kaggle, plantclef, shards, classes)
"""What reads folders and archives, in the order they are asked; the last one takes anything."""

_log = logging.getLogger(__name__)


def open_collection(
    data: str | Path,
    *,
    name_column: str | None = None,
    skip_bad: bool = False,
    streaming: bool = False,
) -> Collection:
    """Opens a collection of named images.

    `data` is one of:

    - a folder with `metadata.csv`, `.tsv`, `.jsonl` or `.parquet`, whose rows name images in it;
    - such a table itself; its images are relative to the folder it is in;
    - a folder of folders named for species, also below `train`, `validation` and `test` and below
      `herbarium` (or `pressed`) and `field` (or `photo`), which give the split and the domain;
    - Kaggle Herbarium 2019, 2020, 2021 or 2022 as it was downloaded, or its `.json` alone;
    - PlantCLEF in its course layout: images in folders of class numbers, named by `list/*.txt`;
    - a zip or tar of any of these, read without extracting it;
    - a folder of Parquet files that hold the images, such as `herbzoo data convert` writes;
    - the URL of a folder or table on object storage (`s3://bucket/folder`), or on any other storage
      for which fsspec is set up;
    - a folder written by `save_to_disk` of the datasets library, or the id `org/name` of a data set
      on the Hub;
    - `synthetic`, or with settings `synthetic:species=30,seed=1,images_per_species=20`.

    Args:
        data: what to open; a folder or file that exists is never taken for a Hub id.
        name_column: the column with the names, if it is none of those tried (`scientificName`,
            then `herbzoo.data.readers.columns.NAME_COLUMNS`).
        skip_bad: leave out rows that cannot be used, and list them in `Collection.skipped`.
        streaming: read the images of a data set on the Hub from there, without downloading it.

    Returns:
        The collection, with every column of `herbzoo.data.records.COLUMNS` and all others as text.

    Raises:
        DataError: if it is not there, is none of these, has no names or no images, is to be
            streamed and is not on the Hub; and unless bad rows are skipped, if a row is malformed
            or names an image that is missing or lies outside of its folder.
    """
    return _open(data, Reading(name_column=name_column, skip_bad=skip_bad), streaming)


def open_images(
    data: str | Path, *, named_by_folders: bool = False, name_column: str | None = None
) -> Collection:
    """Opens images to be identified, whose names need not be known.

    Takes what `open_collection` takes, one image file, and a folder or archive with images at any
    depth. `scientificName` is empty where a table does not give it. An image that a table names and
    that is not there fails when opened.

    Args:
        data: what to open.
        named_by_folders: take names of folders for names of species where they are laid out so.
        name_column: as `open_collection` takes it.

    Raises:
        DataError: if there is nothing there, or no image in it.
    """
    reading = Reading(name_column, names_required=False, named_by_folders=named_by_folders)
    return _open(data, reading, False)


def _open(data: str | Path, reading: Reading, streaming: bool) -> Collection:
    collection = _opened(os.fspath(data), reading, streaming)
    if reading.skipped:
        _log.warning("%s: %s bad rows are left out", collection.name, f"{len(reading.skipped):,}")
    return replace(collection, skipped=tuple(reading.skipped))


def _opened(text: str, reading: Reading, streaming: bool) -> Collection:
    path = Path(text).expanduser()
    on_hub = arrow.is_hub_id(text) and not is_archive_path(text) and not path.parent.is_dir()
    drawn = text.partition(":")[0] == SYNTHETIC
    if streaming and not (on_hub or _is_shards(path, text)):
        raise DataError(
            f"{text!r} cannot be streamed, only a Hub id (org/name) or a folder of Parquet shards "
            "can: leave out --streaming"
        )
    if drawn:
        return _synthetic(text)
    if is_url(text):
        return _open_url(text, reading)
    if text and path.is_dir():
        return _open_folder(path, text, reading)
    if path.is_file():
        return _open_file(path, text, reading)
    if on_hub:
        return _open_hub(text, reading, streaming)
    raise DataError(
        f"there is no file or folder {text!r}; give a folder, a table, an archive, a Hub id "
        f"(org/name) or {SYNTHETIC!r}"
    )


def _open_url(url: str, reading: Reading) -> Collection:
    storage = filesystem(url)
    if "file" in storage.protocol:  # links that lead out of a folder are refused there
        return _opened(storage._strip_protocol(url), reading, False)
    root = url.rstrip("/")
    try:
        is_folder = storage.info(root)["type"] == "directory"
    except FileNotFoundError as error:
        raise DataError(f"there is nothing at {url}") from error
    except Exception as error:  # each storage has its own kinds
        raise DataError(f"{url} cannot be reached ({reason_of(error)})") from error
    if is_folder:
        return _read(StorageTree(root), reading)
    folder, _, table = root.rpartition("/")
    if not is_table_path(table):
        raise DataError(f"{url} is no folder and no table ({', '.join(TABLE_SUFFIXES)})")
    tree = StorageTree(folder)
    module = dwca.read_table if has_links(tree, table) else listed.read_named
    return module(tree, table, reading)


def _open_hub(repo_id: str, reading: Reading, streaming: bool) -> Collection:
    return open_stream(repo_id, reading) if streaming else arrow.open_hub(repo_id, reading)


def _open_folder(path: Path, name: str, reading: Reading) -> Collection:
    if arrow.is_saved_dataset(path):
        return arrow.open_saved(path, reading)
    collection = _read(FolderTree(path, name), reading)
    return replace(collection, facts={**collection.facts, **_sidecar(path / SIDECAR)})


def _is_shards(path: Path, name: str) -> bool:
    return path.is_dir() and shards.recognise(FolderTree(path, name))


def _read(tree: layouts.FileTree, reading: Reading) -> Collection:
    reader = next(reader for reader in READERS if reader.recognise(tree))
    return reader.read(tree, reading)


def _sidecar(path: Path) -> dict[str, Any]:
    """Reads what `herbzoo.data.synthetic.write_collection` left beside the images it drew."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}): delete it, or make it anew") from error
    return facts if isinstance(facts, dict) else {}


def _open_file(path: Path, name: str, reading: Reading) -> Collection:
    if is_archive_path(path):
        return _read(open_archive(path, layouts.is_wrapper, reading), reading)
    if is_table_path(path.name):
        if has_links(_folder_of(path, name), path.name):
            return dwca.read_table(_folder_of(path, name), path.name, reading)
        return listed.read_named(_folder_of(path, name), path.name, reading)
    if path.suffix.lower() == ".json":
        return kaggle.read_file(_folder_of(path, name), path.name, reading)
    if is_image_path(path) and not reading.names_required:
        return classes.read_one(FolderTree(path.parent, name), path.name)
    kind = "one image, not a collection" if is_image_path(path) else "no kind of file that is known"
    raise DataError(f"{name} is {kind}; herbzoo reads {_known()}")


def _folder_of(path: Path, name: str) -> FolderTree:
    return FolderTree(path.parent, os.path.dirname(name) or ".")


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
        f"{layouts.LAYOUTS}; or Kaggle Herbarium 2019 to 2022, PlantCLEF; or a table "
        f"({', '.join(TABLE_SUFFIXES)}), an archive ({', '.join(ARCHIVE_SUFFIXES)}), a datasets "
        f"folder, a Hub id (org/name), {SYNTHETIC}"
    )
