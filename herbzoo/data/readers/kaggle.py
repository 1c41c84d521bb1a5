"""Kaggle Herbarium 2019 to 2022: one reader, told by its files and by what is in them.

2020 to 2022 have metadata in the manner of COCO beside the images, 2019 has folders of classes.
`kaggle_fields` says what each year calls things.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from herbzoo.data.readers import kaggle_folders
from herbzoo.data.readers.columns import darwin_core
from herbzoo.data.readers.genus_distances import GenusDistances
from herbzoo.data.readers.kaggle_fields import IMAGE_FOLDERS, METADATA, UNKNOWN, Year
from herbzoo.data.readers.kaggle_metadata import Codes, Metadata, read_distances, read_metadata
from herbzoo.data.readers.layouts import FileTree, collection, first_folder
from herbzoo.data.readers.listed import inside, present
from herbzoo.data.readers.reading import Reading
from herbzoo.data.records import HERBARIUM, Collection, Skipped
from herbzoo.errors import DataError

_ALONE = "metadata.json"
_KEYS = re.compile(rb'"(?:annotations|categories|images|distances)"\s*:\s*\[')
_HEAD = 64 * 1024
_COLUMNS = (
    ("scientificName", "category", "categories", "scientificName"),
    ("scientificNameAuthorship", "category", "categories", "scientificNameAuthorship"),
    ("genus", "category", "categories", "genus"),
    ("family", "category", "categories", "family"),
    ("order", "category", "categories", "order"),
    ("taxonID", "category", "categories", ""),
    ("institutionCode", "institution", "institutions", "institutionCode"),
    ("region", "region", "regions", "name"),
)
"""Columns that come from a short list: by the number that an annotation has for it, from the field
of its record, or the number itself."""
_OWN = ("order", "region")
"""Columns that are left out where they are empty."""


def recognise(tree: FileTree) -> bool:
    """Tells whether there are metadata where Kaggle puts them, or the folders of 2019."""
    return bool(_metadata_files(tree)) or kaggle_folders.recognise(tree)


def read(tree: FileTree, reading: Reading) -> Collection:
    """Reads the training and the test set, as far as they are there.

    Images of the test set have no names. Where names are required they are left out and counted.
    `facts` of the collection has `year`, `categories` (how many), `genera`, `institutions` and
    `regions` (their names) where the year has such, and `genus_distances` (a `GenusDistances`) of
    2022. Where two categories have one name, their authors are added to it.
    """
    files = _metadata_files(tree)
    return _read(tree, files, reading) if files else kaggle_folders.read(tree, reading)


def read_file(tree: FileTree, name: str, reading: Reading) -> Collection:
    """Reads one metadata file at the top of a tree."""
    return _read(tree, [(name, dict(METADATA).get(name, ""))], reading)


def _metadata_files(tree: FileTree) -> list[tuple[str, str]]:
    absent = set(tree.missing([*(path for path, _ in METADATA), _ALONE]))
    files = [(path, split) for path, split in METADATA if path not in absent]
    if not files and _ALONE not in absent:  # of the folder `train`, or of anything else
        with tree.open(_ALONE) as stream:
            if _KEYS.search(stream.read(_HEAD)):
                files.append((_ALONE, ""))
    return files


def _read(tree: FileTree, files: list[tuple[str, str]], reading: Reading) -> Collection:
    frames: list[pd.DataFrame] = []
    year = UNKNOWN
    facts: dict[str, Any] = {"reader": "kaggle", "year": ""}
    facts |= {"rows_without_name": 0, "missing_files": 0}
    for path, split in files:
        with tree.open(path) as stream:
            data = read_metadata(stream, posixpath.join(tree.name, path))
        if data.is_annotated:
            year = data.year
            facts |= _facts(data)
            if "distances" in data.sections:
                facts["genus_distances"] = GenusDistances(partial(read_distances, tree, path))
        elif reading.names_required and frames:
            facts["rows_without_name"] += len(data.image.text)
            continue
        frame = _frame(data, split or ("train" if data.is_annotated else "test"), year, reading)
        del data  # its ids are not needed any more, and are large
        frame, found = _located(frame, tree, path, reading)
        facts |= {key: facts[key] + found[key] for key in ("rows_without_name", "missing_files")}
        frames.append(frame)
    whole = pd.concat(frames, ignore_index=True).fillna("") if len(frames) > 1 else frames[0]
    return collection(whole, tree.source(), tree.name, facts)


def _located(
    frame: pd.DataFrame, tree: FileTree, metadata: str, reading: Reading
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Returns the rows with the places of their images in the tree, in Darwin Core terms."""
    beside = posixpath.join(posixpath.dirname(metadata), "")
    split = frame["split"].iloc[0]
    folders = [beside + folder.format(split=split) for folder in IMAGE_FOLDERS]
    frame["image"] = first_folder(tree, folders, frame["image"]) + frame["image"]
    where = posixpath.join(tree.name, metadata)
    described, facts = darwin_core(frame, where, reading)
    described = inside(described, tree, where, reading)
    described, facts["missing_files"] = present(described, tree, where, reading)
    return described, facts


def _facts(data: Metadata) -> dict[str, Any]:
    facts: dict[str, Any] = {"year": data.year.year, "categories": len(data.tables["categories"])}
    for section, name in (
        ("genera", "genus"),
        ("institutions", "institutionCode"),
        ("regions", "name"),
    ):
        if section in data.tables:
            facts[section] = tuple(record[name] for record in data.tables[section].values())
    return facts


def _frame(data: Metadata, split: str, year: Year, reading: Reading) -> pd.DataFrame:
    """Returns a row an image, its index the place of the image in the file.

    Raises:
        DataError: if no image can be used.
    """
    of_image = _annotation_of_image(data)
    usable = np.ones(len(of_image), bool)
    if reading.names_required:
        usable = _usable(data, of_image, reading)
    if not usable.any():
        raise DataError(f"{data.where}: none of its {len(usable):,} images can be used")
    columns = {"image": data.file_name.text}
    if not data.is_annotated:
        columns["image_id"] = data.image.text  # by which a competition wants its answers
    for name, codes, section, field in _COLUMNS:
        table = data.tables.get(section, {})
        texts = {key: record[field] if field else key for key, record in table.items()}
        if name == "scientificName":
            texts = _told_apart(table)
        columns[name] = _taken(getattr(data, codes), texts, of_image)
    licences = {
        key: record["url"] or record["name"]
        for key, record in data.tables.get("licenses", {}).items()
    }
    columns["license"] = _taken(data.license, licences, np.arange(len(of_image)))
    frame = pd.DataFrame({name: column.to_pandas() for name, column in columns.items()})
    for name, value in {**year.constants, "basisOfRecord": HERBARIUM, "split": split}.items():
        frame[name] = value
    frame = frame.drop(columns=[name for name in _OWN if not (frame[name] != "").any()])
    return frame if usable.all() else frame[usable]


def _annotation_of_image(data: Metadata) -> np.ndarray:
    """Returns for each image the first annotation that is of it, or -1."""
    if not data.is_annotated:
        return np.full(len(data.image.text), -1)
    if data.is_aligned:
        return np.arange(len(data.image.text))
    found = pc.index_in(data.image.text, value_set=data.annotated.text)
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def _taken(codes: Codes, texts: dict[str, str], rows: np.ndarray) -> pa.Array:
    values = pa.array([texts.get(str(value), "") for value in codes.number] + [""])
    numbers = np.append(codes.codes, len(values) - 1)  # -1, which is no row, is the empty text
    return values.take(pa.array(numbers[rows]))


def _told_apart(categories: dict[str, dict[str, str]]) -> dict[str, str]:
    """Returns the name of each category, with its authors where another one has the same name."""
    names = {key: record["scientificName"] for key, record in categories.items()}
    times = Counter(names.values())
    authors = {key: record["scientificNameAuthorship"] for key, record in categories.items()}
    return {
        key: f"{name} {authors[key]}".strip() if times[name] > 1 else name
        for key, name in names.items()
    }


def _usable(data: Metadata, of_image: np.ndarray, reading: Reading) -> np.ndarray:
    """Returns which images can be used, as a mask, and reports the others."""
    reading.bad(data.bad)
    twice = _repeated(data.image.text)
    _report(
        data, reading, data.image.text, twice, "is more than once in the list; the first counts"
    )
    if not data.is_annotated:
        return ~twice
    without = of_image < 0
    _report(data, reading, data.image.text, without, "has no annotation")
    categories = data.tables["categories"]
    known = np.array([*(str(value) in categories for value in data.category.number), True])
    codes = np.append(data.category.codes, len(known) - 1)[of_image]
    unknown = ~known[codes]
    _report(data, reading, data.image.text, unknown, "is of a category that is not in the file")
    if not data.is_aligned:
        _report_annotations(data, codes, reading)
    return ~(twice | without | unknown)


def _report_annotations(data: Metadata, codes: np.ndarray, reading: Reading) -> None:
    """Reports annotations that are of no image, or of one that has another category already."""
    annotated = pc.index_in(data.annotated.text, value_set=data.image.text)
    astray = annotated.is_null().to_numpy()
    _report(data, reading, data.annotated.text, astray, "is annotated, but not among the images")
    again = _repeated(data.annotated.text) & ~astray
    first = codes[pc.fill_null(annotated, 0).to_numpy()]
    again &= first != data.category.codes
    _report(data, reading, data.annotated.text, again, "has two categories; the first counts")


def _repeated(ids: pa.ChunkedArray) -> np.ndarray:
    """Returns which ids have been there before, as a mask."""
    if pc.count_distinct(ids).as_py() == len(ids):
        return np.zeros(len(ids), bool)
    return ids.to_pandas().duplicated().to_numpy()


def _report(
    data: Metadata, reading: Reading, ids: pa.ChunkedArray, bad: np.ndarray, problem: str
) -> None:
    if bad.any():
        images = ids.filter(pa.array(bad)).to_pylist()
        reading.bad([Skipped(f"{data.where}: image {image}", problem) for image in images])
