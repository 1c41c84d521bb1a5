"""From the columns a table happens to have to those of Darwin Core that herbzoo works with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from herbzoo.data.images import is_image_path
from herbzoo.data.readers.reading import Reading
from herbzoo.data.records import COLUMNS
from herbzoo.errors import DataError

IMAGE_COLUMNS = ("image", "file_name", "filename", "image_path", "filepath", "file", "path")
"""Columns that may name the image, the first that is there and filled wins; those after the first
two only if their first value ends like an image file."""
NAME_COLUMNS = (
    "scientificName",
    "scientific_name",
    "species",
    "species_name",
    "taxon",
    "taxon_name",
    "label",
    "labels",
    "name",
    "class_name",
    "class",
)
"""Columns that may hold the name, the first that is there and filled wins."""

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def normalise_split(value: str) -> str:
    """Returns `train`, `validation` or `test` for the usual spellings, other values as they are."""
    return _SPLITS.get(value.strip().lower(), value.strip())


def as_name(folder: str) -> str:
    """Returns the name that a folder stands for: underscores are spaces."""
    return " ".join(folder.replace("_", " ").split())


def genus_of(name: str) -> str:
    """Returns the genus of a scientific name, its first word; a hybrid sign is no word.

    `Quercus robur` and `× Quercus robur` give `Quercus`, `×Cuprocyparis leylandii` gives
    `Cuprocyparis`. A class number has none.
    """
    words = name.replace("\N{MULTIPLICATION SIGN}", " ").split()
    if len(words) > 1 and words[0] in ("x", "X"):
        words = words[1:]
    return words[0] if words and any(map(str.isalpha, words[0])) else ""


def darwin_core(
    frame: pd.DataFrame,
    where: str,
    reading: Reading,
    *,
    other_name_columns: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Gives a table the columns of `COLUMNS`, and keeps its others.

    Darwin Core terms are matched as they are spelt, then without regard to case. Rows that name no
    image are left out, and so are rows without a name where names are required; both are counted.

    Args:
        frame: columns of text.
        where: the table's name, for errors.
        reading: which column holds the names, and whether a collection without names is an error.
        other_name_columns: further columns that may hold the name, tried last.

    Returns:
        The new frame, whose index still counts the rows of the table, and what was found: the
        columns used and the rows left out.

    Raises:
        DataError: if there is no column of images or names, or no row is left.
    """
    columns = [str(column) for column in frame.columns]
    names = _name_column(frame, where, reading.name_column, (*NAME_COLUMNS, *other_name_columns))
    images = _image_column(frame)
    if images is None:
        raise DataError(
            f"{where} has no image column: it has {', '.join(columns)}, and one of "
            f"{', '.join(IMAGE_COLUMNS)} must name an image file"
        )
    if names is None and reading.names_required:
        raise DataError(
            f"{where} has no name column: it has {', '.join(columns)}; call one scientificName, "
            "or say which it is with name_column"
        )
    terms: dict[str, pd.Series] = {}
    for term in COLUMNS:
        source = _same(term, columns)
        terms[term] = frame[source] if source else pd.Series("", index=frame.index, dtype=str)
    terms["image"] = frame[images].str.strip()
    if names is not None:
        terms["scientificName"] = _per_value(frame[names], lambda name: " ".join(name.split()))
    terms["split"] = _per_value(terms["split"], normalise_split)
    genera = _per_value(terms["scientificName"], genus_of)
    terms["genus"] = terms["genus"].where(terms["genus"] != "", genera)
    taken = {source for term in COLUMNS if (source := _same(term, columns))}
    others = {column: frame[column] for column in columns if column not in taken}
    described = pd.DataFrame({**terms, **others})
    return _filled(described, where, names, images, reading.names_required)


def _filled(
    frame: pd.DataFrame, where: str, names: str | None, images: str, names_required: bool
) -> tuple[pd.DataFrame, dict[str, Any]]:
    has_image = frame["image"] != ""
    has_name = (frame["scientificName"] != "") | (not names_required)
    facts = {
        "image_column": images,
        "name_column": names or "",
        "rows_without_image": int((~has_image).sum()),
        "rows_without_name": int((has_image & ~has_name).sum()),
    }
    if not has_image.any():
        raise DataError(f"{where}: no row of column {images!r} names an image")
    if not (has_image & has_name).any():
        raise DataError(f"{where}: no row with an image has a name in column {names!r}")
    kept = has_image & has_name
    return (frame if kept.all() else frame[kept]), facts  # a copy of a large one takes time


def _per_value(column: pd.Series, change: Any) -> pd.Series:
    # Distinct values are few, so this costs little more for a million rows than for a hundred.
    codes, values = pd.factorize(column)
    changed = pd.Series([change(value) for value in values], dtype=column.dtype)
    return changed.take(codes).set_axis(column.index)


def _same(term: str, columns: Sequence[str]) -> str | None:
    if term in columns:
        return term
    spelt = [column for column in columns if column.lower() == term.lower()]
    return spelt[0] if spelt else None


def _filled_first(frame: pd.DataFrame, candidates: Sequence[str]) -> str | None:
    """Returns the first candidate that has a value, else the first that is there at all."""
    there = [found for name in candidates if (found := _same(name, list(frame.columns)))]
    filled = (column for column in there if (frame[column].str.strip() != "").any())
    return next(filled, there[0] if there else None)


def _image_column(frame: pd.DataFrame) -> str | None:
    def fits(candidate: str) -> bool:
        column = _same(candidate, list(frame.columns))
        if column is None or candidate in IMAGE_COLUMNS[:2]:
            return True
        values = frame[column][frame[column].str.strip() != ""]
        return len(values) > 0 and is_image_path(re.split(r"[/\\]", values.iloc[0].strip())[-1])

    return _filled_first(frame, [name for name in IMAGE_COLUMNS if fits(name)])


def _name_column(
    frame: pd.DataFrame, where: str, asked: str | None, candidates: Sequence[str]
) -> str | None:
    if asked is None:
        return _filled_first(frame, candidates)
    found = _same(asked, list(frame.columns))
    if found is None:
        columns = ", ".join(str(column) for column in frame.columns)
        raise DataError(f"{where} has no column {asked!r} to take names from; it has {columns}")
    return found
