"""The rows of one table of a Darwin Core Archive, read in blocks of bounded size.

`python-dwca-reader` makes a Python object of every row, replaces bytes that cannot be decoded
without a word, unpacks archives of any size to a temporary folder, and opens whatever path
`meta.xml` names. A million rows and archives of strangers need none of that, so the rows are read
by Arrow; a test holds both to the same values.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from herbzoo.data.images import reason_of
from herbzoo.data.readers.archives import UNREADABLE
from herbzoo.data.readers.dwca_meta import DataFile, Field
from herbzoo.data.readers.reading import Reading
from herbzoo.data.records import Skipped
from herbzoo.errors import DataError

KEY = "*key"
"""The column with the id of the record; no term has such a name."""
ROW = "*row"
"""The column that counts the rows of the table, from 1."""
BLOCK_BYTES = 8 * 1024**2
"""Bytes of a table that are parsed at a time; no row is longer."""
_FIRST_LINE_BYTES = 1024**2


@dataclass
class _Problems:
    """What is wrong with single rows of one table."""

    where: str
    rows: list[Skipped] = field(default_factory=list)
    swallowing: bool = False
    """Whether a row that does not fit is of several lines."""

    def misfit(self, row: arrow_csv.InvalidRow) -> str:
        """Takes note of a row that has too many or too few fields; called by Arrow."""
        self.swallowing = self.swallowing or "\n" in row.text
        line = "" if row.number is None else f" line {row.number}"
        self.rows.append(
            Skipped(
                f"{self.where}{line}",
                f"has {row.actual_columns} fields instead of {row.expected_columns}",
            )
        )
        return "skip"


class _Counted(io.RawIOBase):
    """A stream that counts the quotation marks that were read from it."""

    def __init__(self, stream: BinaryIO, quote: str) -> None:
        self._stream = stream
        self._quote = quote.encode("utf-8", "replace")
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if self._quote:
            self.quotes += data.count(self._quote)
        return data


def read_rows(
    stream: BinaryIO,
    table: DataFile,
    where: str,
    reading: Reading,
    *,
    fields: Sequence[Field] | None = None,
    select: Callable[[pa.Table], pa.Table] | None = None,
) -> tuple[pa.Table, int]:
    """Reads the rows of one file of a table.

    Args:
        stream: the bytes of the file; can be rewound.
        table: what its columns mean.
        where: what to call it in errors.
        reading: what becomes of rows with too many or too few fields, or in another encoding.
        fields: the columns to read; all by default.
        select: told a block of rows, returns what to keep of it; a column that is kept of some
            blocks only is empty in the others.

    Returns:
        Columns of text under the last parts of their terms, with `KEY` and `ROW`, and the number
        of rows there were. Where two terms end alike, the second fills the gaps of the first.

    Raises:
        DataError: if the file has not the columns or the encoding that it is said to have.
    """
    chosen = [f for f in (table.fields if fields is None else fields)]
    width = _width(stream, table, where)
    problems = _Problems(where)
    blocks, total = [], 0
    for block in _blocks(stream, table, width, _indices(chosen, table), problems):
        decoded = _decoded(block, total, table, problems)
        total += len(block)
        rows = _under_names(decoded, chosen, table)
        blocks.append(rows if select is None else select(rows))
    reading.bad(problems.rows)
    return joined(blocks) if blocks else _empty(chosen), total


def joined(blocks: Sequence[pa.Table]) -> pa.Table:
    """Returns all rows of some blocks, with empty text where a block lacks a column."""
    whole = pa.concat_tables(blocks, promote_options="default")
    for index, name in enumerate(whole.column_names):
        if whole.column(index).null_count:
            whole = whole.set_column(index, name, pc.fill_null(whole.column(index), ""))
    return whole


def column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Returns a column without spaces around its values, empty where there is none of that name."""
    same = [found for found in rows.column_names if found.lower() == name.lower()]
    if not same:
        return pa.chunked_array([pa.repeat(pa.scalar("", pa.string()), len(rows))])
    return pc.utf8_trim_whitespace(rows.column(same[0]))


def _width(stream: BinaryIO, table: DataFile, where: str) -> int:
    """Returns the number of columns, which `meta.xml` need not all describe."""
    try:
        stream.seek(0)
        start = stream.read(_FIRST_LINE_BYTES)
        stream.seek(0)
    except UNREADABLE as error:
        raise DataError(f"{where} cannot be read ({reason_of(error)})") from error
    decoded = start.decode(table.encoding, errors="replace").removeprefix("\ufeff")
    lines: Iterator[list[str]] = csv.reader(
        io.StringIO(decoded),
        delimiter=table.delimiter,
        quotechar=table.quote or None,
        quoting=csv.QUOTE_MINIMAL if table.quote else csv.QUOTE_NONE,
    )
    try:
        first = next((line for line in lines if line), [])
    except csv.Error as error:
        raise DataError(f"{where} cannot be read as a table: {reason_of(error)}") from error
    last = max([f.index for f in table.fields if f.index is not None], default=0)
    last = max(last, table.key or 0)
    if last >= len(first):
        raise DataError(
            f"{where} has {len(first)} columns, and meta.xml names column {last + 1}; is it "
            f"separated by {table.delimiter!r}, as meta.xml says?"
        )
    return len(first)


def _indices(fields: Iterable[Field], table: DataFile) -> list[str]:
    indices = {f.index for f in fields if f.index is not None}
    indices |= set() if table.key is None else {table.key}
    return [str(index) for index in sorted(indices)]


def _blocks(
    stream: BinaryIO, table: DataFile, width: int, wanted: list[str], problems: _Problems
) -> Iterator[pa.Table]:
    names = [str(index) for index in range(width)]
    utf8 = table.encoding in ("utf-8", "ascii")
    counted = _Counted(stream, table.quote)
    block: pa.Table | None = None
    try:
        reader = arrow_csv.open_csv(
            counted,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,  # so that Arrow knows the numbers of bad rows
                block_size=BLOCK_BYTES,
                column_names=names,
                skip_rows=table.header_lines,
                encoding="utf8" if utf8 else table.encoding,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=table.delimiter,
                quote_char=table.quote or False,
                newlines_in_values=bool(table.quote),
                invalid_row_handler=problems.misfit,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        )
        for batch in reader:
            block = pa.Table.from_batches([batch])
            yield block
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise DataError(f"{problems.where} cannot be read ({reason_of(error)})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{problems.where} is not {table.encoding}, as it is said to be") from error
    except UNREADABLE as error:
        raise DataError(f"{problems.where} cannot be read ({reason_of(error)})") from error
    if counted.quotes % 2 and (problems.swallowing or _ends_in_lines(block)):
        raise DataError(
            f"{problems.where} opens a quotation mark that it never closes, which swallows what "
            "follows; close it, or say in meta.xml that fields are not enclosed"
        )


def _ends_in_lines(block: pa.Table | None) -> bool:
    """Tells whether the last row of the last block has a value of several lines."""
    if block is None or not len(block):
        return False
    return any(b"\n" in values[-1].as_py() for values in block.columns)


def _decoded(block: pa.Table, before: int, table: DataFile, problems: _Problems) -> pa.Table:
    """Returns the rows that are UTF-8 as text, with their numbers."""
    numbers = pa.array(range(before + 1, before + len(block) + 1), pa.int64())
    try:
        text = block.cast(pa.schema([(name, pa.string()) for name in block.column_names]))
        return text.append_column(ROW, numbers)
    except pa.ArrowInvalid:
        good = [_is_utf8(row.values()) for row in block.to_pylist()]
    for number, fits in zip(numbers.to_pylist(), good, strict=True):
        if not fits:
            place = f"{problems.where} row {number}"
            problems.rows.append(Skipped(place, "is not UTF-8, as the table is said to be"))
    fitting = block.filter(pa.array(good)).cast(
        pa.schema([(name, pa.string()) for name in block.column_names])
    )
    return fitting.append_column(ROW, numbers.filter(pa.array(good)))


def _is_utf8(values: Iterable[bytes]) -> bool:
    try:
        b"\x00".join(values).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _under_names(block: pa.Table, fields: Sequence[Field], table: DataFile) -> pa.Table:
    columns: dict[str, pa.ChunkedArray] = {}
    if table.key is not None:
        columns[KEY] = pc.utf8_trim_whitespace(block.column(str(table.key)))
    columns[ROW] = block.column(ROW)
    for each in fields:
        values = _values(block, each)
        earlier = columns.get(each.name)
        if earlier is not None:
            values = pc.if_else(pc.equal(earlier, ""), values, earlier)
        columns[each.name] = values
    return pa.table(columns)


def _values(block: pa.Table, each: Field) -> pa.ChunkedArray | pa.Array:
    default = pa.scalar(each.default, pa.string())
    if each.index is None:
        return pa.repeat(default, len(block))
    values = block.column(str(each.index))
    return pc.if_else(pc.equal(values, ""), default, values) if each.default else values


def _empty(fields: Sequence[Field]) -> pa.Table:
    names = dict.fromkeys([KEY, *(each.name for each in fields)])
    return pa.table(
        {ROW: pa.array([], pa.int64())} | {name: pa.array([], pa.string()) for name in names}
    )
