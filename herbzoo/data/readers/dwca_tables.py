"""Tables of Darwin Core terms that come without a `meta.xml`: occurrences, and links to images."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from herbzoo.data.images import is_image_path
from herbzoo.data.readers.columns import IMAGE_COLUMNS
from herbzoo.data.readers.dwca_media import ROW_TYPES
from herbzoo.data.readers.dwca_meta import DataFile, Descriptor, describe_header
from herbzoo.data.readers.layouts import FileTree
from herbzoo.data.remote import is_link
from herbzoo.errors import DataError

KEYS = ("coreid", "gbifID", "occurrenceID", "id")
"""Columns that may join the two tables; the first that both have does."""
LINK_COLUMNS = ("accessURI", *IMAGE_COLUMNS, "image_url", "imageURL", "url", "identifier")
"""Columns that are taken for links to images if their first value is one."""
_FILES = tuple(name.lower() for name in IMAGE_COLUMNS)
_SUFFIXES = (".csv", ".tsv", ".txt")
_CORE = re.compile(r"occurrences?\.(?:csv|tsv|txt)", re.IGNORECASE)
_MEDIA = re.compile(r"(?:(?P<core>.*)[_.-])?(?:images?|media|multimedia)\.(?:csv|tsv|txt)", re.I)
_LINE_BYTES = 1024**2
_LOOKED_AT = 50
_MEDIA_TYPE = ROW_TYPES[0]


def find_core(files: Iterable[str]) -> str | None:
    """Returns the one file called `occurrence` or `occurrences`, or None."""
    found = [name for name in files if _CORE.fullmatch(name)]
    return found[0] if len(found) == 1 else None


def has_links(tree: FileTree, table: str) -> bool:
    """Tells whether a table is one of occurrences with links to images, or of such links.

    It is if it has `associatedMedia`, or a column that starts with links, or `identifier` with an
    id of the record, or if a table of links lies beside it; and if it names no image files.
    """
    if not table.lower().endswith(_SUFFIXES):
        return False
    lines = _first_lines(tree, table, _LOOKED_AT)
    try:
        described = describe_header(table, lines[0] if lines else b"", KEYS, "")
    except DataError:
        return False  # the reader of tables says what is wrong with it
    firsts = _first_values(described, lines)
    if any(is_image_path(firsts.get(name, "")) and not is_link(firsts[name]) for name in _FILES):
        return False
    names = _names(described)
    if _link_column(firsts) is not None:
        return True
    if "associatedmedia" in names or _is_media(names):
        return True
    return "occurrenceid" in names and _beside(tree, table) is not None


def describe_tables(tree: FileTree, table: str) -> Descriptor:
    """Describes a table of occurrences, and the table of links beside it, by their headers.

    Args:
        tree: where they are.
        table: either of the two.

    Raises:
        DataError: if the two share no id, or the occurrences of a table of links are not there.
    """
    core_name, media_name = table, _beside(tree, table)
    if media_name is None and _is_media(_names(_describe(tree, table, ""))):
        core_name, media_name = _core_of(tree, table), table
    core = _describe(tree, core_name, "occurrence")
    if media_name is None:
        return Descriptor(_with_links(core, _first_lines(tree, table, _LOOKED_AT)), ())
    media = _describe(tree, media_name, _MEDIA_TYPE)
    shared = [key for key in KEYS if key.lower() in _names(core) & _names(media)]
    if not shared and "coreid" in _names(media) and "id" in _names(core):
        return Descriptor(
            _describe(tree, core_name, "occurrence", ("id",)),
            (_describe(tree, media_name, _MEDIA_TYPE, ("coreid",)),),
        )
    if not shared:
        raise DataError(
            f"{tree.name}: {core_name} and {media_name} share no column of ids "
            f"({', '.join(KEYS)}), so images and records cannot be joined"
        )
    return Descriptor(
        _describe(tree, core_name, "occurrence", shared[:1]),
        (_describe(tree, media_name, _MEDIA_TYPE, shared[:1]),),
    )


def _describe(tree: FileTree, table: str, row_type: str, keys: Iterable[str] = KEYS) -> DataFile:
    lines = _first_lines(tree, table, 1)
    if not lines:
        raise DataError(f"{tree.name}: {table} is empty; its first line must name the columns")
    return describe_header(table, lines[0], tuple(keys), row_type)


def _names(table: DataFile) -> set[str]:
    return {field.name.lower() for field in table.fields}


def _is_media(names: set[str]) -> bool:
    linked = "accessuri" in names or "identifier" in names
    keyed = bool(names & {key.lower() for key in KEYS})
    return linked and keyed and "scientificname" not in names


def _beside(tree: FileTree, table: str) -> str | None:
    """Returns the table of links that goes with a table of occurrences, by its name."""
    stem = table.rpartition(".")[0].lower()
    for name in tree.top_files():
        found = _MEDIA.fullmatch(name)
        whose = (found["core"] or "occurrence").lower() if found else None
        if whose and stem in (whose, f"{whose}s") and name != table:
            return name
    return None


def _core_of(tree: FileTree, media: str) -> str:
    for name in tree.top_files():
        if name.lower().endswith(_SUFFIXES) and name != media and _beside(tree, name) == media:
            return name
    raise DataError(
        f"{tree.name}: {media} lists images without names, and the table of their records "
        "(such as occurrence.csv beside multimedia.csv) is not there"
    )


def _first_lines(tree: FileTree, table: str, count: int) -> list[bytes]:
    with tree.open(table) as stream:
        lines = (stream.readline(_LINE_BYTES) for _ in range(count))
        return [line for line in lines if line.strip()]


def _first_values(table: DataFile, lines: list[bytes]) -> dict[str, str]:
    """Returns the first value that is filled of each column, under its name in lower case."""
    text = [line.decode("utf-8", "replace") for line in lines[1:]]
    try:
        if table.quote:
            rows = list(csv.reader(text, delimiter=table.delimiter))
        else:
            rows = list(csv.reader(text, delimiter=table.delimiter, quoting=csv.QUOTE_NONE))
    except csv.Error:
        return {}
    firsts: dict[str, str] = {}
    for field in table.fields:
        values = (
            row[field.index].strip()
            for row in rows
            if field.index is not None and field.index < len(row)
        )
        firsts.setdefault(field.name.lower(), next(filter(None, values), ""))
    return firsts


def _link_column(firsts: Mapping[str, str]) -> str | None:
    """Returns the first column of images whose first value is a link, in lower case."""
    names = (name.lower() for name in LINK_COLUMNS)
    return next((name for name in names if is_link(firsts.get(name, ""))), None)


def _with_links(core: DataFile, lines: list[bytes]) -> DataFile:
    """Takes the column of links for `associatedMedia`, which is what its values are."""
    core = replace(core, key=None)  # one row an image: a record may come several times
    links = _link_column(_first_values(core, lines))
    if links is None or core.index_of("associatedMedia") is not None:
        return core
    fields = tuple(
        replace(field, term="associatedMedia") if field.name.lower() == links else field
        for field in core.fields
    )
    return replace(core, fields=fields)
