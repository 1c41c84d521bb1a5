"""Tables of records as text: CSV, JSON lines and Parquet, each read to a frame of strings.

Everything is text, absent values are empty, and nothing is guessed: no value becomes a number, no
`NA` becomes nothing, and a row that does not fit its header is an error that names the line.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import pandas as pd

from herbzoo.data.images import reason_of
from herbzoo.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
"""Suffixes, in lower case, of the files that are read as tables."""
TABLE_NAMES = tuple(f"metadata{suffix}" for suffix in TABLE_SUFFIXES)
"""The table that makes a folder or an archive a collection."""


def is_table_path(path: str) -> bool:
    """Tells by its suffix whether a file is read as a table."""
    return PurePosixPath(path).suffix.lower() in TABLE_SUFFIXES


def read_table(stream: BinaryIO, name: str) -> pd.DataFrame:
    """Reads a table by the suffix of its name.

    Args:
        stream: the bytes of the file.
        name: the file's name, for its suffix and for errors.

    Returns:
        Columns of text under the names of the file, without spaces around them.

    Raises:
        DataError: if the table is empty, malformed, not UTF-8, or has two columns of one name.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".parquet":
        frame = _read_parquet(stream, name)
    elif suffix in (".jsonl", ".ndjson"):
        frame = _read_json_lines(stream, name)
    else:
        frame = _read_csv(stream, name)
    if frame.empty:
        raise DataError(f"{name} has no rows")
    return frame


def text_of(column: pa.ChunkedArray) -> pd.Series:
    """Returns an Arrow column as text, nulls as empty strings; whole numbers stay whole."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        column = column.cast(pa.string()).fill_null("")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # lists, structs, binary
        column = pa.array([_text(value) for value in column.to_pylist()], pa.string())
    return column.to_pandas()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _unique(columns: Iterable[str], name: str) -> list[str]:
    stripped = [column.strip() for column in columns]
    twice = [column for column, times in Counter(stripped).items() if times > 1]
    if twice:
        shown = ", ".join(repr(column) for column in twice)
        raise DataError(f"{name} has more than one column called {shown}; rename all but one")
    return stripped


def _read_csv(stream: BinaryIO, name: str) -> pd.DataFrame:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        first = text.readline()
        if not first.strip():
            raise DataError(f"{name} is empty; its first line must name the columns")
        text.seek(0)
        lines = csv.reader(text, delimiter=_delimiter(first, name))
        header = _unique(_without_blank_end(next(lines)), name)
        rows = [_fitted(row, header, f"{name} line {lines.line_num}") for row in lines if row]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 ({_encoding_hint(error)}); save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{name} line {lines.line_num} cannot be read as CSV: {reason_of(error)}"
        ) from error
    finally:
        text.detach()
    return pd.DataFrame(rows, columns=header, dtype=str)


def _delimiter(header: str, name: str) -> str:
    default = "\t" if name.lower().endswith(".tsv") else ","
    unquoted = "".join(header.split('"')[::2])
    most = max(("\t", ",", ";"), key=unquoted.count)
    return most if unquoted.count(most) > unquoted.count(default) else default


def _without_blank_end(row: list[str]) -> list[str]:
    """Drops empty fields at the end, which spreadsheets write for columns once used."""
    while row and not row[-1].strip():
        row = row[:-1]
    return row


def _fitted(row: list[str], header: list[str], where: str) -> list[str]:
    if len(row) == len(header):
        return row
    surplus = row[len(header) :]
    if len(row) < len(header) or any(field.strip() for field in surplus):
        raise DataError(
            f"{where} has {len(row)} fields and the header has {len(header)}; "
            "quote fields that contain the delimiter"
        )
    return row[: len(header)]


def _encoding_hint(error: UnicodeDecodeError) -> str:
    if error.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "it looks like UTF-16"
    return f"byte 0x{error.object[error.start]:02x} looks like Latin-1 or Windows-1252"


def _read_json_lines(stream: BinaryIO, name: str) -> pd.DataFrame:
    rows: list[dict[str, str]] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            hint = _encoding_hint(error)
            raise DataError(f"{name} line {number} is not UTF-8 ({hint})") from error
        except ValueError as error:
            raise DataError(f"{name} line {number} is not JSON: {reason_of(error)}") from error
        if not isinstance(record, dict):
            raise DataError(f"{name} line {number} is not a JSON object, such as {{...}}")
        rows.append({key: _text(value) for key, value in record.items()})
        columns.update(dict.fromkeys(record))
    names = list(columns)
    frame = pd.DataFrame([[row.get(key, "") for key in names] for row in rows], dtype=str)
    frame.columns = pd.Index(_unique(names, name), dtype=object)
    return frame


def _read_parquet(stream: BinaryIO, name: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(stream)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} cannot be read as Parquet: {reason_of(error)}") from error
    names = _unique(table.column_names, name)
    columns = {key: text_of(table.column(i)) for i, key in enumerate(names)}
    return pd.DataFrame(columns)
