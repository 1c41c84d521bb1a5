"""Tables of records as text: CSV, JSON lines and Parquet, each read to a frame of strings.

Everything is text, absent values are empty, and nothing is guessed: no value becomes a number, no
`NA` becomes nothing, and a row that does not fit its header is an error that names the line.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import pandas as pd

from herbzoo.data.images import reason_of
from herbzoo.data.readers.reading import Reading
from herbzoo.data.records import Skipped
from herbzoo.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
"""Suffixes, in lower case, of the files that are read as tables."""
TABLE_NAMES = tuple(f"metadata{suffix}" for suffix in TABLE_SUFFIXES)
"""The table that makes a folder or an archive a collection."""

_ESCAPED = re.compile("[\udc80-\udcff]")
"""What the error handler `surrogateescape` puts in place of bytes that are not UTF-8."""


def is_table_path(path: str) -> bool:
    """Tells by its suffix whether a file is read as a table."""
    return PurePosixPath(path).suffix.lower() in TABLE_SUFFIXES


def read_table(stream: BinaryIO, name: str, reading: Reading) -> pd.DataFrame:
    """Reads a table by the suffix of its name.

    Args:
        stream: the bytes of the file; can be read twice.
        name: the file's name, for its suffix and for errors.
        reading: what becomes of lines that are malformed or not UTF-8.

    Returns:
        Columns of text under the names of the file, without spaces around them. The index counts
        the rows of the file, those that are left out included.

    Raises:
        DataError: if the table is empty, has two columns of one name, or is malformed beyond
            single lines.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".parquet":
        frame = _read_parquet(stream, name)
    elif suffix in (".jsonl", ".ndjson"):
        frame = _read_json_lines(stream, name, reading)
    else:
        frame = _read_csv(stream, name, reading)
    if frame.empty:
        if not reading.skipped:
            raise DataError(f"{name} has no rows")
        first = reading.skipped[0]
        raise DataError(
            f"{name} has no rows that can be used; the first that cannot: "
            f"{first.where} {first.reason}"
        )
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


def _read_csv(stream: BinaryIO, name: str, reading: Reading) -> pd.DataFrame:
    try:
        return _parse_csv(stream, name, reading, "strict")
    except UnicodeDecodeError as error:
        if stream.seek(0) == 0 and stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(
                f"{name} is not UTF-8 (it looks like UTF-16); save it as UTF-8"
            ) from error
    stream.seek(0)
    return _parse_csv(stream, name, reading, "surrogateescape")


def _parse_csv(stream: BinaryIO, name: str, reading: Reading, errors: str) -> pd.DataFrame:
    rows: dict[int, list[str]] = {}
    bad: list[Skipped] = []
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors=errors, newline="")
    try:
        first = text.readline()
        if not first.strip():
            raise DataError(f"{name} is empty; its first line must name the columns")
        text.seek(0)
        lines = csv.reader(text, delimiter=_delimiter(first, name))
        header = _unique(_without_blank_end(next(lines)), name)
        if _undecoded("".join(header)):
            raise DataError(f"{name} is not UTF-8 in its first line; save it as UTF-8")
        row = -1
        while True:
            began = lines.line_num + 1
            try:
                fields = next(lines)
            except StopIteration:
                break
            except csv.Error as error:
                fields, problem = [], f"cannot be read as CSV: {reason_of(error)}"
            else:
                if not fields:
                    continue
                problem = _misfit(fields, header)
                if not problem and errors != "strict":
                    problem = _undecoded("".join(fields))
            row += 1
            if problem:
                bad.append(Skipped(_lines(name, began, lines.line_num), problem))
            else:
                rows[row] = fields[: len(header)]
    finally:
        text.detach()
    reading.bad(bad)
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=header, dtype=str)


def _lines(name: str, first: int, last: int) -> str:
    return f"{name} line {first}" if first == last else f"{name} lines {first} to {last}"


def _undecoded(text: str) -> str:
    """Returns what to say of text with bytes that are not UTF-8, or nothing."""
    found = _ESCAPED.search(text)
    if found is None:
        return ""
    byte = ord(found[0]) - 0xDC00
    return f"is not UTF-8 (byte 0x{byte:02x} looks like Latin-1 or Windows-1252); save it as UTF-8"


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


def _misfit(row: list[str], header: list[str]) -> str:
    """Returns why a row does not fit its header, or nothing; blank fields at its end do fit."""
    if len(row) == len(header):
        return ""
    surplus = row[len(header) :]
    if len(row) > len(header) and not any(field.strip() for field in surplus):
        return ""
    return (
        f"has {len(row)} fields and the header has {len(header)}; "
        "quote fields that contain the delimiter"
    )


def _read_json_lines(stream: BinaryIO, name: str, reading: Reading) -> pd.DataFrame:
    rows: dict[int, dict[str, str]] = {}
    columns: dict[str, None] = {}
    bad: list[Skipped] = []
    row = -1
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        row += 1
        try:
            record = _json_object(line)
        except DataError as error:
            bad.append(Skipped(f"{name} line {number}", str(error)))
            continue
        rows[row] = {key: _text(value) for key, value in record.items()}
        columns.update(dict.fromkeys(record))
    reading.bad(bad)
    names = list(columns)
    values = [[row.get(key, "") for key in names] for row in rows.values()]
    frame = pd.DataFrame(values, index=list(rows), dtype=str)
    frame.columns = pd.Index(_unique(names, name), dtype=object)
    return frame


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        hint = _undecoded(line.decode("utf-8", "surrogateescape"))
        raise DataError(hint) from error
    except ValueError as error:
        raise DataError(f"is not JSON: {reason_of(error)}") from error
    if not isinstance(record, dict):
        raise DataError("is not a JSON object, such as {...}")
    return record


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
