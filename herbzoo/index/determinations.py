"""New names for sheets of an index, in Darwin Core terms, with the old ones kept.

A determination says which sheet by its `image`, `occurrenceID` or `catalogNumber`; all images of
that sheet get the name. The old name goes to `previousIdentifications`, as Darwin Core recommends:
a list of names, each with who gave it and when, with ` | ` between, the latest last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from herbzoo.errors import DataError
from herbzoo.identification_output import LIST_SEPARATOR
from herbzoo.index.embedding_table import IMAGE
from herbzoo.index.filters import both, one_of
from herbzoo.index.specimen_rows import DETERMINATION, PREVIOUS, completed
from herbzoo.names import parse_name

if TYPE_CHECKING:
    from lancedb.table import LanceTable

KEYS = (IMAGE, "occurrenceID", "catalogNumber")
"""By which columns a sheet is named, the surest first."""
_TAXON = ("scientificName", "scientificNameAuthorship", "genus", "family", "taxonID")


@dataclass(frozen=True)
class Determination:
    """A name that somebody gave a sheet. What is '' is worked out, or left blank."""

    scientificName: str
    """With or without its authorship."""
    image: str = ""
    occurrenceID: str = ""
    catalogNumber: str = ""
    institutionCode: str = ""
    """Tells sheets of one `catalogNumber` apart."""
    scientificNameAuthorship: str = ""
    genus: str = ""
    family: str = ""
    """Where it is '', that which the index has for the genus, if it is only one."""
    taxonID: str = ""
    identifiedBy: str = ""
    dateIdentified: str = ""
    """ISO date; today where it is ''."""

    @property
    def key(self) -> tuple[str, str]:
        """The column and the value that name the sheet.

        Raises:
            DataError: if there is none.
        """
        for name in KEYS:
            if value := getattr(self, name):
                return name, value
        raise DataError(
            f"the determination as {self.scientificName or 'nothing'} does not say of which "
            f"sheet: give {', '.join(KEYS)} or one of these"
        )


@dataclass(frozen=True)
class Determined:
    """What became of some determinations."""

    rows: int = 0
    """Rows of the index that have another name, or another determiner, now."""
    unknown: tuple[str, ...] = ()
    """Sheets that the index does not have."""
    ambiguous: tuple[str, ...] = ()
    """Catalogue numbers that several sheets have; none of them was touched."""


def determine(table: LanceTable, determinations: Sequence[Determination]) -> Determined:
    """Gives sheets their new names, all in one commit.

    Args:
        table: of an index.
        determinations: of two for one sheet, the later one counts.

    Raises:
        DataError: if one has no name, or does not say which sheet it is of.
    """
    today = datetime.now(UTC).date().isoformat()
    parts: dict[str, pa.Table] = {}
    unknown: list[str] = []
    ambiguous: list[str] = []
    for one in determinations:
        rows = _rows_of(table, one)
        if not len(rows):
            unknown.append(" ".join(one.key))
        elif one.key[0] == "catalogNumber" and _sheets(rows) > 1:
            ambiguous.append(one.catalogNumber)
        else:
            taxon = _taxon(table, one)
            for place in range(len(rows)):
                row = rows.slice(place, 1)
                image = row[IMAGE][0].as_py()
                parts[image] = _determined(parts.get(image, row), one, taxon, today)
    if parts:
        changed = completed(pa.concat_tables(parts.values()))
        table.merge_insert(IMAGE).when_matched_update_all().execute(changed)
    return Determined(len(parts), tuple(unknown), tuple(ambiguous))


def _rows_of(table: LanceTable, one: Determination) -> pa.Table:
    column, value = one.key
    condition = one_of(column, [value])
    if column == "catalogNumber" and one.institutionCode:
        condition = both(condition, one_of("institutionCode", [one.institutionCode]))
    found: Any = table.search().where(condition).limit(None)
    return found.to_arrow()


def _sheets(rows: pa.Table) -> int:
    """Returns how many sheets rows of one catalogue number are of."""
    names = ("institutionCode", "occurrenceID")
    return len(set(zip(*(rows[name].to_pylist() for name in names), strict=True)))


def _taxon(table: LanceTable, one: Determination) -> dict[str, str]:
    """Returns the columns of a name; the genus is its first word."""
    parsed = parse_name(one.scientificName)
    name = parsed.name or one.scientificName.strip()
    if not name:
        raise DataError(f"the determination of {one.key[1]} has no scientificName")
    genus = one.genus or name.split()[0]
    return {
        "scientificName": name,
        "scientificNameAuthorship": one.scientificNameAuthorship or parsed.authorship,
        "genus": genus,
        "family": one.family or _family_of(table, genus),
        "taxonID": one.taxonID,
    }


def _family_of(table: LanceTable, genus: str) -> str:
    query: Any = table.search().select(["family"]).where(one_of("genus", [genus])).limit(None)
    families = {name for name in query.to_arrow()["family"].to_pylist() if name}
    return families.pop() if len(families) == 1 else ""


def _determined(row: pa.Table, one: Determination, taxon: dict[str, str], today: str) -> pa.Table:
    before = {name: row[name][0].as_py() or "" for name in DETERMINATION}
    after = {
        **taxon,
        "identifiedBy": one.identifiedBy,
        "dateIdentified": one.dateIdentified or today,
        PREVIOUS: LIST_SEPARATOR.join(filter(None, [before[PREVIOUS], _as_text(before)])),
    }
    for name, value in after.items():
        place = row.schema.get_field_index(name)
        row = row.set_column(place, row.schema.field(name), pa.array([value], pa.string()))
    return row


def _as_text(before: dict[str, str]) -> str:
    """Returns a determination as Darwin Core writes it among previous ones."""
    name = f"{before['scientificName']} {before['scientificNameAuthorship']}".strip()
    by = f"det. {before['identifiedBy']}" if before["identifiedBy"] else ""
    return ", ".join(filter(None, [name, by, before["dateIdentified"]]))
