"""Identifications as text: CSV, JSON lines, Darwin Core rows, and a table for people.

Each format says how an identification is written. Those that can be read back also say of which
images or specimens a file holds all rows, so that an interrupted command can go on where it was.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from herbzoo.identification import DEEPEST, UNKNOWN, Candidate, Identification
from herbzoo.taxonomy import RANKS

LIST_SEPARATOR = " | "
"""Between several values of one field, as Darwin Core recommends."""


class Subject(NamedTuple):
    """What an identification is of, in the terms that every format writes."""

    occurrenceID: str
    file: str
    """One key, or those of a specimen's images with `LIST_SEPARATOR` between."""


class Entry(NamedTuple):
    """One row or line that was read back from a file."""

    subject: Subject
    maker: str
    """The model it is from."""
    rank: str


class OutputFormat(Protocol):
    """A way to write identifications."""

    def header(self) -> str:
        """Returns what stands at the top, or ''."""
        ...

    def text(self, identification: Identification) -> str:
        """Returns the lines of one identification that has candidates."""
        ...


class ResumableFormat(OutputFormat, Protocol):
    """A format that can be read back."""

    maker: str
    """What `Entry.maker` is in the rows written now."""
    rank: str
    rows: int
    """Rows that every identification has."""

    @property
    def opening(self) -> str:
        """What every file of the format begins with."""
        ...

    def entries(self, lines: Iterator[str]) -> Iterator[Entry]:
        """Reads rows back, taking no more lines than a row has before it yields it.

        Raises:
            ValueError: at a row that is not one of this format.
        """
        ...


def subject_of(identification: Identification) -> Subject:
    """Returns what an identification is of."""
    files = LIST_SEPARATOR.join(printable(key) for key in identification.files)
    return Subject(identification.record.occurrenceID, files)


def printable(text: str) -> str:
    """Returns text that can be written as UTF-8; odd bytes in a file's name are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def csv_text(rows: Sequence[Sequence[Any]]) -> str:
    """Returns rows as CSV with a line feed after each."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


@dataclass(frozen=True)
class CsvFormat:
    """One row for each image and candidate."""

    maker: str
    rank: str
    rows: int
    with_occurrences: bool
    """Whether there is a column `occurrenceID`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The header."""
        occurrence = ("occurrenceID",) if self.with_occurrences else ()
        return ("file", *occurrence, "k", *_TAXON_COLUMNS, "score", "model")

    @property
    def opening(self) -> str:
        """The line of column names."""
        return self.header()

    def header(self) -> str:
        """Returns the line of column names."""
        return csv_text([self.columns])

    def text(self, identification: Identification) -> str:
        """Returns a line for each candidate."""
        subject = subject_of(identification)
        occurrence = (subject.occurrenceID,) if self.with_occurrences else ()
        return csv_text(
            [
                (subject.file, *occurrence, k, *_taxon(candidate), _score(candidate), self.maker)
                for k, candidate in enumerate(identification.candidates, start=1)
            ]
        )

    def entries(self, lines: Iterator[str]) -> Iterator[Entry]:
        """Reads the rows of a file back."""
        for row in _csv_rows(lines, self.columns):
            subject = Subject(row.get("occurrenceID", ""), row["file"])
            yield Entry(subject, row["model"], _rank_asked(self.rank, row["taxonRank"]))


@dataclass(frozen=True)
class DarwinCoreFormat:
    """The first candidate of each as a row of the Darwin Core Identification class.

    https://dwc.tdwg.org/terms/#identification; `associatedMedia` refers to the images, as a row
    without `occurrenceID` has nothing else to go by.
    """

    maker: str
    """Goes into `identifiedBy`."""
    rank: str
    calibrated: bool = False
    """Whether scores are probabilities of a calibrated model."""
    scores: str = ""
    """What the scores are, if they are not the model's own."""
    rows: int = 1

    columns = (
        "occurrenceID",
        "associatedMedia",
        "scientificName",
        "scientificNameAuthorship",
        "genus",
        "family",
        "taxonID",
        "taxonRank",
        "identifiedBy",
        "dateIdentified",
        "identificationVerificationStatus",
        "identificationRemarks",
    )

    @property
    def opening(self) -> str:
        """The line of column names."""
        return self.header()

    def header(self) -> str:
        """Returns the line of column names."""
        return csv_text([self.columns])

    def text(self, identification: Identification) -> str:
        """Returns one line."""
        best = identification.best
        images = len(identification.files)
        over = f", mean over {images} images" if images > 1 else ""
        calibrated = f"softmax, {'' if self.calibrated else 'un'}calibrated"
        if self.scores:
            calibrated = f"{self.scores}, uncalibrated"
        row = (
            *subject_of(identification),
            *_taxon(best),
            self.maker,
            datetime.now(UTC).isoformat(timespec="seconds"),
            "PredictedByMachine",
            f"score {_score(best)} ({calibrated}{over})",
        )
        return csv_text([row])

    def entries(self, lines: Iterator[str]) -> Iterator[Entry]:
        """Reads the rows of a file back."""
        for row in _csv_rows(lines, self.columns):
            subject = Subject(row["occurrenceID"], row["associatedMedia"])
            yield Entry(subject, row["identifiedBy"], _rank_asked(self.rank, row["taxonRank"]))


@dataclass(frozen=True)
class JsonFormat:
    """One JSON object a line."""

    maker: str
    rank: str
    candidates: int
    """Number that every line has."""
    rows: int = 1

    opening = '{"file": '

    def header(self) -> str:
        """Returns nothing."""
        return ""

    def text(self, identification: Identification) -> str:
        """Returns one line."""
        subject = subject_of(identification)
        document = {
            "file": subject.file,
            "occurrenceID": subject.occurrenceID,
            "images": len(identification.files),
            "rank": self.rank,
            "model": self.maker,
            "candidates": [
                {**asdict(candidate), "score": float(_score(candidate))}
                for candidate in identification.candidates
            ],
        }
        return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"

    def entries(self, lines: Iterator[str]) -> Iterator[Entry]:
        """Reads the lines of a file back."""
        for line in lines:
            document = json.loads(line)
            try:
                subject = Subject(document["occurrenceID"], document["file"])
                entry = Entry(subject, document["model"], document["rank"])
                length = len(document["candidates"])
            except (KeyError, TypeError) as error:
                raise ValueError("a line is not an identification") from error
            if length != self.candidates:
                raise ValueError(f"a line has {length} candidates instead of {self.candidates}")
            yield entry


class TableFormat:
    """A small table for each image, for people."""

    def header(self) -> str:
        """Returns nothing."""
        return ""

    def text(self, identification: Identification) -> str:
        """Returns the files, then a line for each candidate, in columns."""
        from rich.cells import cell_len

        subject = subject_of(identification)
        rows = [
            (
                f"{k:>4}.",
                f"{candidate.score:.3f}",
                _name(candidate),
                candidate.genus if candidate.taxonRank == "species" else "",
                candidate.family if candidate.taxonRank != "family" else "",
            )
            for k, candidate in enumerate(identification.candidates, start=1)
        ]
        widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            subject.file if not subject.occurrenceID else f"{subject.occurrenceID}: {subject.file}"
        ]
        for row in rows:
            cells = (f + " " * (width - cell_len(f)) for f, width in zip(row, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
        return "".join(_one_line(line) + "\n" for line in lines)


_TAXON_COLUMNS = (
    "scientificName",
    "scientificNameAuthorship",
    "genus",
    "family",
    "taxonID",
    "taxonRank",
)


def _taxon(candidate: Candidate) -> tuple[str, ...]:
    return tuple(getattr(candidate, column) for column in _TAXON_COLUMNS)


def _name(candidate: Candidate) -> str:
    return f"{candidate.scientificName} {candidate.scientificNameAuthorship}".strip() or UNKNOWN


def _rank_asked(rank: str, written: str) -> str:
    """Returns for what rank a row was asked; among answers at the deepest rank each has its own."""
    return rank if rank == DEEPEST and written in (*RANKS, UNKNOWN) else written


def _score(candidate: Candidate) -> str:
    return f"{candidate.score:.6f}"


def _one_line(text: str) -> str:
    """Keeps line feeds and terminal codes in a file's name from reaching the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _csv_rows(lines: Iterator[str], columns: Sequence[str]) -> Iterator[dict[str, str]]:
    rows = csv.reader(lines, strict=True)
    try:
        for number, row in enumerate(rows):
            if len(row) != len(columns) or (number == 0 and tuple(row) != tuple(columns)):
                raise ValueError(f"the columns are not {', '.join(columns)}")
            if number:
                yield dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
