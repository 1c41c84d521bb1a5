"""A large JSON file of a few lists, read a piece at a time.

Data sets in the manner of COCO are one JSON object of lists, a record an image, an annotation or a
class: hundreds of megabytes in a single value, which no JSON library reads in part. The records
themselves are small and msgspec decodes them fast, so the lists are cut between records, and
memory holds one piece of the file at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from herbzoo.data.images import reason_of
from herbzoo.data.records import Skipped
from herbzoo.errors import DataError

PIECE = 4 * 1024**2
"""Bytes read at a time."""
MAX_RECORD = 64 * 1024**2
"""The most bytes in which the end of a record, or of another value, is looked for."""

_SPACE = b" \t\r\n"
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},"]')
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*(?=\S)')
_START = re.compile(rb"\[\s*(\S)|[^\[\s]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonSections:
    """The lists in a JSON object, or the one list that a file consists of.

    Args:
        stream: the bytes of the file.
        where: the file's name, for errors.
        kinds: the `msgspec.Struct` of the records of each list; lists of other names are passed
            over. The list that is the whole file goes by the name `''`.
    """

    def __init__(self, stream: BinaryIO, where: str, kinds: Mapping[str, Any]) -> None:
        self.bad: list[Skipped] = []
        """Records that are not of their kind, so far."""
        self.found: list[str] = []
        """Names of the lists, so far."""
        self.encoding = "utf-8"
        """How records that are not UTF-8 are encoded; if nothing else is said, they are bad."""
        self._stream, self._where = stream, where
        self._lists = {
            name: msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]
            for name, kind in kinds.items()
        }
        self._ones = {name: msgspec.json.Decoder(kind) for name, kind in kinds.items()}
        self._raw = msgspec.json.Decoder(list[msgspec.Raw])
        self._any = msgspec.json.Decoder(msgspec.Raw)
        self._buffer = b""
        self._at = 0

    def __iter__(self) -> Iterator[tuple[str, list[Any]]]:
        """Yields the name of a list and its next records.

        Raises:
            DataError: if the file is not JSON, or neither an object nor a list.
        """
        self._fill()
        self._buffer = self._buffer.removeprefix(_BYTE_ORDER_MARK)
        opening = self._next() if self._buffer else b""
        if opening not in (b"[", b"{"):
            raise DataError(f"{self._where} is not JSON: it should begin with {{ or [")
        self._at += opening == b"{"
        if opening == b"[":
            yield from self._records("")
            return
        while (name := self._key()) is not None:
            if self._is_list_of_records():
                yield from self._records(name)
            else:
                self._pass_over_value()

    def _fill(self) -> bool:
        more = self._stream.read(PIECE)
        self._buffer = self._buffer[self._at :] + more
        self._at = 0
        return bool(more)

    def _next(self) -> bytes:
        """Returns the next byte that is no space, without going past it."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            self._more("it ends too early")

    def _more(self, problem: str) -> None:
        if len(self._buffer) - self._at > MAX_RECORD or not self._fill():
            raise DataError(f"{self._where} is not JSON: {problem}; is it cut short?")

    def _key(self) -> str | None:
        if self._next() == b",":
            self._at += 1
        if self._next() == b"}":
            return None
        while (found := _KEY.match(self._buffer, self._at)) is None:
            self._more("a name in quotes and a colon are missing")
        self._at = found.end()
        return found[1].decode("utf-8", "replace")

    def _is_list_of_records(self) -> bool:
        while (found := _START.match(self._buffer, self._at)) is None:
            self._more("a value is missing")
        return found[1] in (b"{", b"]")

    def _pass_over_value(self) -> None:
        while (end := self._end_of_value()) < 0:
            self._more("a value has no end")
        self._at = end

    def _end_of_value(self) -> int:
        depth = 0
        for token in _TOKEN.finditer(self._buffer, self._at):
            mark = token[0]
            if mark == b'"':  # its other end is not read yet
                return -1
            if not depth and mark in (b",", b"}"):
                return token.start()
            depth += (mark in (b"{", b"[")) - (mark in (b"}", b"]"))
        return -1

    def _records(self, name: str) -> Iterator[tuple[str, list[Any]]]:
        self.found.append(name)
        self._at += 1
        count = 0
        while True:
            if self._next() == b",":
                self._at += 1
            if self._next() == b"]":
                self._at += 1
                return
            rows = self._piece(name, count)
            if rows is None:
                self._more(f"{name or 'the list'!r} breaks off after {count:,} records")
                continue
            count += len(rows)
            if name in self._lists:
                yield name, [row for row in rows if row is not None]

    def _piece(self, name: str, before: int) -> list[Any] | None:
        """Returns the records that are whole, None in place of bad ones, or None for no record."""
        for end in self._ends():
            if end <= self._at:
                continue
            text = b"[" + self._buffer[self._at : end] + b"]"
            rows = self._decoded(name, text, before)
            if rows is not None:
                self._at = end
                return rows
        return None

    def _ends(self) -> Iterator[int]:
        """Yields where the whole records in memory may end; the last one yielded is sure."""
        bracket = self._buffer.find(b"]", self._at)
        while bracket >= 0:
            last = bracket - 1
            while self._buffer[last] in _SPACE:
                last -= 1
            if self._buffer[last : last + 1] == b"}":
                yield last + 1
                break
            bracket = self._buffer.find(b"]", bracket + 1)
        else:
            yield self._buffer.rfind(b"}", self._at) + 1
        depth, end = 0, 0  # braces in names or in each other lead here, which is slow
        for token in _TOKEN.finditer(self._buffer, self._at):
            depth += (token[0] in (b"{", b"[")) - (token[0] in (b"}", b"]"))
            if depth < 0 or token[0] == b'"':
                break
            end = token.end() if not depth and token[0] == b"}" else end
        yield end

    def _decoded(self, name: str, text: bytes, before: int) -> list[Any] | None:
        try:
            if name not in self._lists:
                self._any.decode(text)
                return []
            return self._lists[name].decode(text)
        except (msgspec.ValidationError, UnicodeDecodeError):
            pass
        except msgspec.DecodeError:
            return None
        try:
            raw = self._raw.decode(text)  # so that one bad record is told from its neighbours
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return [self._record(name, bytes(one), before + i) for i, one in enumerate(raw)]

    def _record(self, name: str, text: bytes, number: int) -> Any:
        try:
            try:
                return self._ones[name].decode(text)
            except UnicodeDecodeError:
                if self.encoding == "utf-8":
                    raise
                return self._ones[name].decode(text.decode(self.encoding).encode())
        except UnicodeDecodeError:
            problem = "is not UTF-8"
        except msgspec.ValidationError as error:
            problem = f"does not fit: {reason_of(error)}"
        self.bad.append(Skipped(f"{self._where}: {name or 'record'}[{number}]", problem))
        return None
