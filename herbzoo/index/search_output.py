"""What a search found as text: a table for people, CSV, and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from herbzoo.data.records import COLUMNS
from herbzoo.identification_output import csv_text, printable
from herbzoo.index.match import ImageMatches, Match

NOTHING = "no sheet fits the filter"


@dataclass(frozen=True)
class SearchFormat:
    """A way to write matches."""

    form: Literal["table", "csv", "json"]
    columns: Sequence[str]
    """Of the index; those that CSV has."""

    def header(self) -> str:
        """Returns what stands at the top, or ''."""
        if self.form != "csv":
            return ""
        return csv_text([("file", "k", "similarity", *self.columns)])

    def text(self, found: ImageMatches) -> str:
        """Returns the lines of one image that could be read."""
        if self.form == "json":
            return _json(found)
        return self._csv(found) if self.form == "csv" else _table(found)

    def _csv(self, found: ImageMatches) -> str:
        rows = []
        for k, match in enumerate(found.matches, start=1):
            values = _values(match)
            own = [values.get(name, "") for name in self.columns]
            rows.append((printable(found.image), k, f"{match.similarity:.4f}", *own))
        return csv_text(rows)


def _json(found: ImageMatches) -> str:
    document = {
        "file": printable(found.image),
        "matches": [
            {"similarity": round(match.similarity, 4), **_values(match)} for match in found.matches
        ],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _values(match: Match) -> dict[str, str]:
    """Returns what is known of a sheet; blank columns are left out."""
    own = {name: getattr(match.record, name) for name in COLUMNS}
    return {name: value for name, value in own.items() if value} | dict(match.fields)


def _table(found: ImageMatches) -> str:
    from rich.cells import cell_len

    rows = [_cells(k, match) for k, match in enumerate(found.matches, start=1)]
    lines = [printable(found.image)]
    if not rows:
        lines.append(f"   {NOTHING}")
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [text + " " * (w - cell_len(text)) for text, w in zip(row, widths, strict=True)]
        lines.append("  ".join(text for text in padded if text).rstrip())
    return "".join(_one_line(line) + "\n" for line in lines)


def _cells(k: int, match: Match) -> tuple[str, ...]:
    record = match.record
    name = f"{record.scientificName} {record.scientificNameAuthorship}".strip() or "(no name)"
    sheet = " ".join(filter(None, [record.institutionCode, record.catalogNumber]))
    collected = " ".join(filter(None, [record.recordedBy, record.recordNumber, record.eventDate]))
    return (
        f"{k:>4}.",
        f"{match.similarity:.3f}",
        name,
        record.family,
        sheet,
        collected,
        record.image,
    )


def _one_line(text: str) -> str:
    """Keeps line feeds and terminal codes in a record from reaching the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
