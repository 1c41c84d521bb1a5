"""One metadata file of a Kaggle Herbarium competition, as columns."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa

from herbzoo.data.readers.json_sections import JsonSections
from herbzoo.data.readers.kaggle_fields import (
    FIELDS,
    HERBARIUM_2020,
    REQUIRED,
    SPELLINGS,
    UNKNOWN,
    YEARS,
    Year,
)
from herbzoo.data.readers.layouts import FileTree
from herbzoo.data.records import Skipped
from herbzoo.errors import DataError


class Codes:
    """Values that repeat, as whole numbers in the order in which they are met."""

    def __init__(self) -> None:
        self.number: dict[Any, int] = {}
        self._parts: list[np.ndarray] = []

    def extend(self, values: list[Any]) -> None:
        """Adds values."""
        for value in dict.fromkeys(values):
            self.number.setdefault(value, len(self.number))
        self._parts.append(np.array(list(map(self.number.__getitem__, values)), np.int32))

    @property
    def codes(self) -> np.ndarray:
        """The number of every value, `int32 [N]`."""
        return np.concatenate([np.empty(0, np.int32), *self._parts])


class Texts:
    """Values that do not repeat, as Arrow text."""

    def __init__(self) -> None:
        self._parts: list[pa.Array] = []

    def extend(self, values: list[Any]) -> None:
        """Adds values."""
        try:
            part = pa.array(values, pa.large_string())
        except pa.ArrowTypeError:  # numbers
            part = pa.array([str(value) for value in values], pa.large_string())
        self._parts.append(part)

    @property
    def text(self) -> pa.ChunkedArray:
        """All values."""
        return pa.chunked_array(self._parts, pa.large_string())


@dataclass
class Metadata:
    """What a file says. Ids are text, whether the file has numbers or text."""

    where: str
    image: Texts = field(default_factory=Texts)
    file_name: Texts = field(default_factory=Texts)
    license: Codes = field(default_factory=Codes)
    annotated: Texts = field(default_factory=Texts)
    """The image of each annotation."""
    category: Codes = field(default_factory=Codes)
    institution: Codes = field(default_factory=Codes)
    region: Codes = field(default_factory=Codes)
    tables: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """The short lists: name of the list, then id, then field."""
    year: Year = UNKNOWN
    sections: tuple[str, ...] = ()
    bad: list[Skipped] = field(default_factory=list)

    @property
    def is_annotated(self) -> bool:
        """Whether this is training metadata, and not the list of images of a test set."""
        return "annotations" in self.sections

    @cached_property
    def is_aligned(self) -> bool:
        """Whether there is one annotation an image, in the order of the images."""
        return bool(self.annotated.text.equals(self.image.text))


def read_metadata(stream: BinaryIO, where: str) -> Metadata:
    """Reads a file in pieces; nothing of it is kept but columns, and the distances are left out.

    Raises:
        DataError: if it is not JSON, or lacks a list that such metadata have.
    """
    sections = JsonSections(stream, where, _kinds(set(FIELDS) - {"distances"}))
    data = Metadata(where)
    for name, records in sections:
        section = _SPELT[name]
        rows = _complete(data, section, records)
        if section == "images":
            data.image.extend(_values(rows, section, "image"))
            data.file_name.extend(_values(rows, section, "file_name"))
            data.license.extend(_values(rows, section, "license"))
        elif section == "annotations":
            data.annotated.extend(_values(rows, section, "image"))
            for field_name in ("category", "institution", "region"):
                getattr(data, field_name).extend(_values(rows, section, field_name))
            if data.region.number.keys() - {None}:
                sections.encoding = HERBARIUM_2020.encoding
        else:
            _keep(data, section, rows)
    data.sections = tuple(_SPELT.get(name, name) for name in sections.found)
    data.bad.extend(sections.bad)
    _refuse_incomplete(data)
    data.year = next((year for year in YEARS if year.told_by & {*data.sections}), UNKNOWN)
    return data


def read_distances(tree: FileTree, path: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Reads how far genera are from each other; see `GenusDistances`.

    Raises:
        DataError: if the file is not there any more.
    """
    data = Metadata(posixpath.join(tree.name, path))
    parts: list[tuple[np.ndarray, ...]] = []
    with tree.open(path) as stream:
        for section, rows in JsonSections(stream, data.where, _kinds({"genera", "distances"})):
            if section == "distances":
                parts.append(_triples(rows))
            else:
                _keep(data, section, rows)
    ids = np.unique(np.concatenate([np.unique(part[i]) for part in parts for i in (0, 1)]))
    matrix = np.full((len(ids), len(ids)), np.nan, np.float32)
    for first, second, distance in parts:
        one, other = np.searchsorted(ids, first), np.searchsorted(ids, second)
        matrix[one, other] = matrix[other, one] = distance
    np.fill_diagonal(matrix, 0)
    genera = data.tables.get("genera", {})
    return tuple(genera.get(str(number), {}).get("genus", "") for number in ids), matrix


def _triples(rows: list[Any]) -> tuple[np.ndarray, ...]:
    one, other, distance = (
        np.array(_values(rows, "distances", name), np.float32)  # None becomes NaN
        for name in FIELDS["distances"]
    )
    whole = ~np.isnan(one + other + distance)
    return one[whole].astype(np.int32), other[whole].astype(np.int32), distance[whole]


def _kind(section: str) -> Any:
    keys = [(key, kind) for kind, keys in FIELDS[section].values() for key in keys]
    return msgspec.defstruct(
        f"Kaggle_{section}", [(key, kind | None, None) for key, kind in keys], gc=False
    )


_SPELT = {name: section for section in FIELDS for name in SPELLINGS.get(section, (section,))}
"""Each name that a list may go by, and ours."""


def _kinds(sections: set[str]) -> dict[str, Any]:
    kinds = {section: _kind(section) for section in sections}
    return {name: kinds[section] for name, section in _SPELT.items() if section in sections}


def _values(rows: list[Any], section: str, name: str) -> list[Any]:
    first, *others = FIELDS[section][name][1]
    values = list(map(attrgetter(first), rows))
    for key in others:
        if None in values:
            values = [
                getattr(row, key) if value is None else value
                for row, value in zip(rows, values, strict=True)
            ]
    return values


def _complete(data: Metadata, section: str, rows: list[Any]) -> list[Any]:
    for name in REQUIRED.get(section, ()):
        values = _values(rows, section, name)
        if None not in values:
            continue
        for row, value in zip(rows, values, strict=True):
            if value is None:
                known = msgspec.json.encode(msgspec.structs.asdict(row)).decode()
                keys = " or ".join(FIELDS[section][name][1])
                data.bad.append(Skipped(f"{data.where}: {section} {known[:200]}", f"has no {keys}"))
        rows = [row for row, value in zip(rows, values, strict=True) if value is not None]
    return rows


def _keep(data: Metadata, section: str, rows: list[Any]) -> None:
    table = data.tables.setdefault(section, {})
    key, *names = FIELDS[section]
    columns = {name: _values(rows, section, name) for name in names}
    for row, identifier in enumerate(_values(rows, section, key)):
        record = {name: " ".join((values[row] or "").split()) for name, values in columns.items()}
        if table.setdefault(str(identifier), record) != record:
            data.bad.append(
                Skipped(f"{data.where}: {section} {identifier}", "is there twice; the first counts")
            )


def _refuse_incomplete(data: Metadata) -> None:
    known = ", ".join(filter(None, data.sections)) or "none"
    if "images" not in data.sections:
        raise DataError(
            f"{data.where} has no list of images; it has {known}, and the metadata of a Kaggle "
            "Herbarium competition have images, annotations and categories"
        )
    if data.is_annotated and "categories" not in data.sections:
        raise DataError(f"{data.where} has annotations and no categories; it has {known}")
    if "categories" in data.sections and not data.is_annotated:
        raise DataError(f"{data.where} has categories and no annotations; it has {known}")
