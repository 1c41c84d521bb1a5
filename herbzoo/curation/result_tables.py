"""What the tables of a results folder have in common, and the new Darwin Core identifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from herbzoo import __version__
from herbzoo.identification import Candidate
from herbzoo.identification_output import csv_text, printable
from herbzoo.inference import Identifier
from herbzoo.whole_file import write_whole

IDENTIFICATIONS_FILE = "identifications.csv"
MACHINE = "PredictedByMachine"
SHEET = ("image", "occurrenceID", "catalogNumber", "institutionCode")
"""Columns that say which sheet a row is of."""
TAXON = ("scientificName", "scientificNameAuthorship", "genus", "family", "taxonID")
IDENTIFICATION_COLUMNS = (
    *SHEET,
    *TAXON,
    "taxonRank",
    "identifiedBy",
    "dateIdentified",
    "identificationVerificationStatus",
    "identificationIsCurrent",
    "identificationReferences",
    "identificationRemarks",
)
"""Terms of Darwin Core, and Symbiota's `identificationIsCurrent`: 0, as a machine only proposes."""


class Determiner:
    """A model that proposes new identifications; they replace none that people made.

    Args:
        identifier: the model.
    """

    def __init__(self, identifier: Identifier) -> None:
        named = identifier.source
        if identifier.revision and "@" not in named:
            named += f"@{identifier.revision}"
        self._always = {
            "identifiedBy": f"herbzoo {__version__} {named}",
            "dateIdentified": datetime.now(UTC).isoformat(timespec="seconds"),
            "identificationVerificationStatus": MACHINE,
            "identificationIsCurrent": "0",
            "identificationReferences": named,
        }

    def identification(
        self, sheet: Mapping[str, str], taxon: Candidate | None, remarks: str
    ) -> dict[str, str]:
        """Returns a row of `identifications.csv`.

        Args:
            sheet: the columns of `SHEET`.
            taxon: what it is proposed to be; `None` leaves it without a name.
            remarks: why.
        """
        named = () if taxon is None else (*TAXON, "taxonRank")
        return {
            **sheet,
            **{name: getattr(taxon, name) for name in named},
            **self._always,
            "identificationRemarks": remarks,
        }


def write_identifications(folder: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """Writes `identifications.csv` of the rows that a `Determiner` made."""
    return write_table(folder / IDENTIFICATIONS_FILE, IDENTIFICATION_COLUMNS, rows)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Path:
    """Writes rows as CSV; a column that a row does not have is left blank in it."""
    lines = [[printable(row.get(name, "")) for name in columns] for row in rows]
    return write_whole(path, csv_text([columns, *lines]))


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table for the terminal; none where it has no row."""
    lines = [[printable(text) for text in line] for line in ([head, *rows] if rows else [])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
