"""The file of a table of names as a stream of usages: from millions of rows, those wanted."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from herbzoo.errors import DataError
from herbzoo.name_layouts import (
    ACCEPTED,
    KNOWN,
    MISAPPLIED,
    SYNONYM,
    UNPLACED,
    Recognised,
    kind_of,
    recognise,
)
from herbzoo.name_usages import Usage, first_words, genus_of, name_key, rankless_key
from herbzoo.names import ParsedName, parse_name

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 24
"""Bytes of a table that are in memory at a time."""
_NULLS = ("", "\\N", "NA", "nil", "NULL")
_SIGN = r"(?:[×+]\s*|[xX]\s+)?"
_FIRST_WORDS = rf"^\s*\"?{_SIGN}(?P<genus>[^\s\"]+)(?:\s+{_SIGN}(?P<epithet>[^\s\"]+))?"


class NameFile:
    """A table file, opened as often as it must be read.

    Args:
        path: the file, as `.gz`, or the zip that it came in.
        progress: told how many more rows have been looked at.

    Raises:
        DataError: if it is not there or no layout that is known.
    """

    def __init__(self, path: Path, progress: Callable[[int], object] = lambda rows: None) -> None:
        self.path = path
        self.progress = progress
        self.rows = 0
        """Rows of the file; known after the first scan."""
        self.unreadable = 0
        """Rows among those that were wanted, or anywhere broken lines, that could not be used."""
        self._member = ""
        if not path.is_file():
            raise DataError(
                f"there is no table of names {str(path)!r}; give one as downloaded: {KNOWN}"
            )
        found = self._recognise()
        if found is None:
            raise DataError(f"{path} is no table of names that is known; there are {KNOWN}")
        self.found = found

    @property
    def title(self) -> str:
        """What kind of table it is."""
        return self.found.layout.title

    def digest(self) -> str:
        """Returns a digest of the file, by which its version is told."""
        with self.path.open("rb") as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()[:16]

    def scan(self, keys: set[str] | None = None, ids: set[str] | None = None) -> Iterator[Usage]:
        """Goes through the file once and yields the usages of some keys or ids; without, all."""
        for row in self._rows(keys, ids):
            usage = self._usage(row)
            if usage is None:
                continue
            if keys is None or {name_key(usage.name), rankless_key(usage.name)} & keys:
                yield usage

    def texts(self, genera: set[str]) -> Iterator[tuple[str, str]]:
        """Yields the genus, as in keys, and the text of each name there is in some genera."""
        for batch in self._batches() if genera else ():
            texts = self._texts(batch)
            chosen = texts.filter(_is_in(_plain_words(texts)[0], genera)).to_pylist()
            for text in chosen:
                yield genus_of(name_key(text.strip('"'))), text.strip('"')

    def _open(self) -> IO[bytes]:
        if self._member:
            return zipfile.ZipFile(self.path).open(self._member)
        if self.path.suffix.lower() == ".gz":
            return gzip.open(self.path)  # type: ignore[return-value]  # reads as one
        return self.path.open("rb")

    def _recognise(self) -> Recognised | None:
        try:
            if not zipfile.is_zipfile(self.path):
                return recognise(self._first_line())
            with zipfile.ZipFile(self.path) as archive:
                members = [one.filename for one in archive.infolist() if not one.is_dir()]
            for self._member in members:
                if self._member.lower().endswith((".csv", ".tsv", ".txt")):
                    found = recognise(self._first_line())
                    if found:
                        return found
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} cannot be read: {error}") from error
        return None

    def _first_line(self) -> str:
        with self._open() as stream:
            line = stream.readline(1 << 16)
        try:
            return line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            return ""

    def _rows(self, keys: set[str] | None, ids: set[str] | None) -> Iterator[dict[str, str]]:
        """Yields the fields of the rows that may be wanted; which is seen without parsing them."""
        columns = self.found.columns
        first = self.rows == 0
        beginnings = {" ".join(first_words(key)) for key in keys or ()}
        for batch in self._batches():
            self.progress(batch.num_rows)
            self.rows += batch.num_rows if first else 0
            if ids is not None:
                batch = batch.filter(_is_in(batch[columns["id"]], ids))
            elif keys is not None:
                batch = batch.filter(_begins_with(self._texts(batch), beginnings))
            values = {field: batch[column].to_pylist() for field, column in columns.items()}
            for row in zip(*values.values(), strict=True):
                yield dict(zip(values, row, strict=True))

    def _texts(self, batch: pa.RecordBatch) -> pa.Array:
        import pyarrow.compute as pc

        parts = [batch[self.found.columns[f"name{i}"]] for i in range(len(self.found.layout.name))]
        return pc.binary_join_element_wise(*parts, " ")

    def _batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyarrow import csv

        found = self.found
        wanted = list(dict.fromkeys(found.columns.values()))
        broken: list[int] = []

        def skip(row: Any) -> str:
            broken.append(1)
            return "skip"

        with self._open() as stream:
            try:
                reader = csv.open_csv(
                    stream,
                    csv.ReadOptions(block_size=BLOCK, column_names=found.layout.header or None),
                    csv.ParseOptions(
                        delimiter=found.delimiter,
                        quote_char='"' if found.quoted else False,
                        invalid_row_handler=skip,
                    ),
                    csv.ConvertOptions(
                        column_types=dict.fromkeys(wanted, pa.string()),
                        include_columns=wanted,
                        strings_can_be_null=False,
                    ),
                )
                yield from reader
            except (pa.ArrowInvalid, OSError, EOFError, zipfile.BadZipFile) as error:
                text = " ".join(str(error).split())
                reason = "it is not UTF-8: convert it with iconv" if "UTF8" in text else text
                raise DataError(f"{self.path} cannot be read: {reason}") from error
        self.unreadable = max(self.unreadable, len(broken))

    def _usage(self, row: dict[str, str]) -> Usage | None:
        layout = self.found.layout
        value = {
            key: "" if text in _NULLS else text.strip().strip('"') for key, text in row.items()
        }
        if layout.kingdom and value.get("kingdom") == layout.animals:
            return None
        parts = [value[f"name{i}"] for i in range(len(layout.name))]
        text = " ".join(part for part in parts if part and part.lower() != "species")
        parsed = parse_name.__wrapped__(text)
        if parsed.problem or not parsed.name:
            self.unreadable += bool(text)
            return None
        kind = kind_of(value.get("status", ""))
        if kind == MISAPPLIED:  # says how somebody used a name, not what the name is
            return None
        authorship = value.get("authorship") or parsed.authorship
        own = value.get("id") or f"{parsed.name} {authorship}".strip()
        accepted, is_name = self._accepted(value, own, parsed, kind)
        if not kind:
            kind = SYNONYM if accepted else ACCEPTED
        elif kind != ACCEPTED:
            kind = SYNONYM if accepted and kind == SYNONYM else UNPLACED
        return Usage(
            own,
            parsed.name,
            authorship,
            kind,
            accepted if kind == SYNONYM else "",
            is_name,
            value.get("family", ""),
            value.get("genus") or parsed.genus,
        )

    def _accepted(
        self, value: dict[str, str], own: str, parsed: ParsedName, kind: str
    ) -> tuple[str, bool]:
        """Returns the accepted name that a row states, if it is another: an id, or the name."""
        if self.found.layout.parent_for_accepted and kind != SYNONYM:
            return "", False
        if value.get("accepted_id"):
            return (value["accepted_id"] if value["accepted_id"] != own else ""), False
        if value.get("accepted_name"):
            accepted = f"{value['accepted_name']} {value.get('accepted_authorship', '')}".strip()
            other = parse_name(accepted)
            same = other.name == parsed.name and other.authorship in ("", parsed.authorship)
            return ("" if same else accepted), True
        return "", False


def _is_in(values: pa.Array, wanted: set[str]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(values, value_set=pa.array(sorted(wanted), pa.string()))


def _begins_with(texts: pa.Array, beginnings: set[str]) -> pa.Array:
    """Tells the names whose genus, or whose genus and epithet, are among these."""
    import pyarrow.compute as pc

    genus, epithet = _plain_words(texts)
    binomial = pc.binary_join_element_wise(genus, epithet, " ")
    return pc.or_(_is_in(genus, beginnings), _is_in(binomial, beginnings))


def _plain_words(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Returns genus and epithet as `name_key` has them; '' where there is none."""
    import pyarrow.compute as pc

    words = pc.extract_regex(texts, _FIRST_WORDS)
    plain = []
    for part in ("genus", "epithet"):
        word = pc.fill_null(pc.struct_field(words, part), "")
        plain.append(
            pc.replace_substring_regex(
                pc.utf8_lower(pc.utf8_normalize(word, "NFKD")), r"\p{Mn}", ""
            )
        )
    return plain[0], plain[1]
