"""The descriptor of a Darwin Core Archive: which files there are, and what their columns mean.

The format is that of the Darwin Core text guide, https://dwc.tdwg.org/text/. An archive without a
`meta.xml` is described by the headers of its tables instead.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO
from xml.etree import ElementTree
from xml.parsers import expat

from herbzoo.data.images import reason_of
from herbzoo.errors import DataError

META = "meta.xml"
"""The descriptor's name, at the top of the archive."""
MAX_META_BYTES = 4 * 1024**2
"""The most that a descriptor may hold; real ones have a few kilobytes."""
_ESCAPES = {r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\r\n": "\r\n", "&quot;": '"', r"\\": "\\"}


@dataclass(frozen=True)
class Field:
    """A column of a data file, or a value that all its rows share."""

    term: str
    """The full term, `http://rs.tdwg.org/dwc/terms/scientificName`, or the name in a header."""
    index: int | None
    """The column, counted from 0; `None` where there is the default only."""
    default: str = ""

    @property
    def name(self) -> str:
        """The last part of the term: `scientificName`."""
        return _short(self.term)


@dataclass(frozen=True)
class DataFile:
    """One table of an archive, which may lie in several files."""

    locations: tuple[str, ...]
    row_type: str
    """The last part of the row type, in lower case: `occurrence`, `multimedia`."""
    fields: tuple[Field, ...]
    key: int | None
    """The column that holds the id of the record."""
    delimiter: str = ","
    quote: str = '"'
    """The character around fields, or '' where there is none."""
    encoding: str = "utf-8"
    header_lines: int = 1

    def index_of(self, name: str) -> int | None:
        """Returns the column of a term, regardless of case."""
        same = [field.index for field in self.fields if field.name.lower() == name.lower()]
        return same[0] if same else None


@dataclass(frozen=True)
class Descriptor:
    """The core of an archive and its extensions."""

    core: DataFile
    extensions: tuple[DataFile, ...]


def read_descriptor(stream: BinaryIO, where: str) -> Descriptor:
    """Reads a `meta.xml`.

    A document type is refused, and with it everything that entities can do.

    Args:
        stream: the bytes of the file.
        where: what to call it in errors.

    Raises:
        DataError: if it is no such XML, or lacks what is needed to read the tables.
    """
    content = stream.read(MAX_META_BYTES + 1)
    if len(content) > MAX_META_BYTES:
        raise DataError(
            f"{where} is larger than {MAX_META_BYTES // 1024**2} MiB; it is no meta.xml"
        )
    root = _parse(content, where)
    cores = [part for part in root if _local(part) == "core"]
    if _local(root) != "archive" or len(cores) != 1:
        raise DataError(f"{where} describes no Darwin Core Archive: it must have one <core>")
    extensions = (part for part in root if _local(part) == "extension")
    return Descriptor(
        _data_file(cores[0], "id", where),
        tuple(_data_file(extension, "coreid", where) for extension in extensions),
    )


def describe_header(location: str, header: bytes, keys: Sequence[str], row_type: str) -> DataFile:
    """Describes a table that stands alone, by its first line.

    Args:
        location: the file.
        header: its first line.
        keys: columns that may hold the id of the record; the first that is there does.
        row_type: what its rows are.

    Raises:
        DataError: if the line is not UTF-8, or names no columns.
    """
    try:
        line = header.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{location} is not UTF-8 in its first line; save it as UTF-8") from error
    unquoted = "".join(line.split('"')[::2])
    delimiter = max(("\t", ",", ";"), key=unquoted.count)
    terms = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    if not any(terms):
        raise DataError(f"{location} is empty; its first line must name the columns")
    lower = [_short(term).lower() for term in terms]
    key = next((lower.index(each.lower()) for each in keys if each.lower() in lower), None)
    # Tab-separated tables of GBIF and its kin quote nothing, and are full of lone quotation marks.
    quote = "" if delimiter == "\t" and '"' not in line else '"'
    fields = tuple(Field(term, index) for index, term in enumerate(terms) if term)
    return DataFile((location,), row_type, fields, key, delimiter, quote)


def _parse(content: bytes, where: str) -> ElementTree.Element:
    def refuse(*_: object) -> None:
        raise DataError(f"{where} has a document type (<!DOCTYPE>), which is not safe to read")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    try:
        guard.Parse(content, True)
        return ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{where} is not XML ({reason_of(error)})") from error


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _short(term: str) -> str:
    return re.split(r"[/#]", term.rstrip("/#"))[-1].rpartition(":")[2]


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element.iter() if _local(child) == name]


def _data_file(element: ElementTree.Element, key: str, where: str) -> DataFile:
    row_type = _short(element.get("rowType", "")).lower()
    what = f"the {row_type or 'unnamed'} {_local(element)}"
    locations = tuple(
        location for child in _children(element, "location") if (location := _text(child))
    )
    if not locations:
        raise DataError(f"{where} names no file for {what}")
    fields = tuple(_field(child, where) for child in _children(element, "field"))
    if not any(field.index is not None for field in fields):
        raise DataError(f"{where} names no columns for {what}")
    keys = [_index(child, where) for child in _children(element, key)]
    if _local(element) == "extension" and (not keys or keys[0] is None):
        raise DataError(f"{where} has no <coreid index> for {what}, so its rows belong to nothing")
    return DataFile(
        locations,
        row_type,
        fields,
        keys[0] if keys else None,
        _delimiter(element, where),
        _character(element, "fieldsEnclosedBy", '"')[:1],
        _encoding(element, where),
        _whole(element.get("ignoreHeaderLines") or "0", "ignoreHeaderLines", where),
    )


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


def _field(element: ElementTree.Element, where: str) -> Field:
    term = element.get("term", "").strip()
    if not _short(term):
        raise DataError(f"{where} has a <field> without a term")
    return Field(term, _index(element, where), element.get("default", ""))


def _index(element: ElementTree.Element, where: str) -> int | None:
    given = element.get("index")
    return None if given is None else _whole(given, "index", where)


def _whole(text: str, what: str, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text.strip()):
        raise DataError(f"{where} has {what}={text!r}, which is no whole number")
    return int(text)


def _character(element: ElementTree.Element, name: str, default: str) -> str:
    given = element.get(name)
    return default if given is None else _ESCAPES.get(given, given)


def _delimiter(element: ElementTree.Element, where: str) -> str:
    delimiter = _character(element, "fieldsTerminatedBy", ",")
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise DataError(
            f"{where} separates fields by {delimiter!r}; herbzoo reads tables that are separated "
            "by one character, such as a tab or a comma"
        )
    return delimiter


def _encoding(element: ElementTree.Element, where: str) -> str:
    encoding = element.get("encoding") or "utf-8"
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise DataError(f"{where} names an encoding that is not known: {encoding!r}") from error
