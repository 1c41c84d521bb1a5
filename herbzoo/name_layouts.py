"""The layouts in which tables of accepted names and synonyms are published, as declarations.

- World Flora Online, `classification.csv` (Darwin Core, tabs): https://zenodo.org/doi/10.5281/zenodo.7460141
- World Checklist of Vascular Plants, `wcvp_names.csv` and `wcvp_taxon.csv` (pipes): https://sftp.kew.org/pub/data-repositories/WCVP/
- GBIF backbone, `Taxon.tsv` and `simple.txt` (tabs): https://hosted-datasets.gbif.org/datasets/backbone/
- Leipzig Catalogue of Vascular Plants, versions 1 and 2 (commas): https://github.com/idiv-biodiversity/LCVP
- a table of one's own with the columns `scientificName` and `acceptedName`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ACCEPTED, SYNONYM, UNPLACED, MISAPPLIED = "accepted", "synonym", "unplaced", "misapplied"

DELIMITERS = "\t|,;"
_KINDS = {
    **dict.fromkeys(("accepted", "valid", "current", "correct"), ACCEPTED),
    **dict.fromkeys(("artificial hybrid", "local biotype", "provisionally accepted"), ACCEPTED),
    **dict.fromkeys(("illegitimate", "invalid", "orthographic", "orthographic variant"), SYNONYM),
    **dict.fromkeys(("misapplied", "misapplied name"), MISAPPLIED),
}


def kind_of(status: str) -> str:
    """Returns what a table's own word for a status comes to; '' if it says nothing.

    What is neither accepted nor a synonym (`Unchecked`, `doubtful`, `external`) is unplaced.
    """
    word = " ".join(status.lower().replace("_", " ").split())
    if "synonym" in word:
        return SYNONYM
    return _KINDS.get(word, UNPLACED) if word else ""


@dataclass(frozen=True)
class Layout:
    """Which column of a table holds what; '' where it has no such column.

    Columns are compared without regard to case, spaces and punctuation.
    """

    title: str
    name: tuple[str, ...]
    """The columns that together, in this order, make the name, with or without authorship."""
    told_by: tuple[str, ...]
    """The columns by which the layout is recognised; all must be there."""
    id: str = ""
    authorship: str = ""
    status: str = ""
    accepted_id: str = ""
    accepted_name: str = ""
    """The accepted name itself, in tables that give no id for it."""
    accepted_authorship: str = ""
    family: str = ""
    genus: str = ""
    kingdom: str = ""
    animals: str = "Animalia"
    """What `kingdom` says of animals, whose names may equal those of plants and are left out."""
    header: tuple[str, ...] = ()
    """The columns of a file that has no header line."""
    parent_for_accepted: bool = False
    """Whether `accepted_id` means the parent in rows that are no synonyms."""

    def columns(self) -> dict[str, str]:
        """Returns the column of each of the single fields that this layout has."""
        fields = ("id", "authorship", "status", "accepted_id", "accepted_name", "family", "genus")
        more = ("accepted_authorship", "kingdom")
        return {field: column for field in (*fields, *more) if (column := getattr(self, field))}


_DARWIN_CORE = {
    "name": ("scientificName",),
    "id": "taxonID",
    "authorship": "scientificNameAuthorship",
    "status": "taxonomicStatus",
    "accepted_id": "acceptedNameUsageID",
    "family": "family",
    "genus": "genus",
    "kingdom": "kingdom",
}
_SIMPLE = (
    *("id", "parent_key", "basionym_key", "is_synonym", "status", "rank", "nom_status"),
    *("constituent_key", "origin", "source_taxon_key", "kingdom_key", "phylum_key", "class_key"),
    *("order_key", "family_key", "genus_key", "species_key", "name_id", "scientific_name"),
    *("canonical_name", "genus_or_above", "specific_epithet", "infra_specific_epithet"),
    *("notho_type", "authorship", "year", "bracket_authorship", "bracket_year"),
    *("name_published_in", "issues"),
)

LAYOUTS = (
    Layout(
        "WCVP",
        name=("taxon_name",),
        told_by=("plant_name_id", "taxon_name", "accepted_plant_name_id"),
        id="plant_name_id",
        authorship="taxon_authors",
        status="taxon_status",
        accepted_id="accepted_plant_name_id",
        family="family",
        genus="genus",
    ),
    Layout(
        "WCVP",
        name=("scientfiicname",),  # misspelt in the file itself
        told_by=("taxonid", "scientfiicname", "acceptednameusageid"),
        id="taxonid",
        authorship="scientfiicnameauthorship",
        status="taxonomicstatus",
        accepted_id="acceptednameusageid",
        family="family",
        genus="genus",
    ),
    Layout(
        "GBIF backbone",
        told_by=("taxonID", "acceptedNameUsageID", "canonicalName", "scientificName"),
        **_DARWIN_CORE,  # type: ignore[arg-type]  # the values are of the fields' types
    ),
    Layout(
        "GBIF backbone",
        name=("scientific_name",),
        told_by=(),
        id="id",
        status="status",
        accepted_id="parent_key",
        genus="",
        kingdom="kingdom_key",
        animals="1",
        header=_SIMPLE,
        parent_for_accepted=True,
    ),
    Layout(
        "World Flora Online",
        told_by=("taxonID", "scientificNameID", "scientificName", "acceptedNameUsageID"),
        **_DARWIN_CORE,  # type: ignore[arg-type]
    ),
    Layout(
        "Darwin Core checklist",
        told_by=("taxonID", "scientificName", "acceptedNameUsageID"),
        **_DARWIN_CORE,  # type: ignore[arg-type]
    ),
    Layout(
        "LCVP",
        name=("Input.Genus", "Input.Epitheton", "Rank", "Input.Subspecies.Epitheton"),
        told_by=("Input.Genus", "Input.Epitheton", "Output.Taxon"),
        id="global.Id",
        authorship="Input.Authors",
        status="Status",
        accepted_id="globalId.of.Output.Taxon",
        accepted_name="Output.Taxon",
        family="Family",
        genus="Input.Genus",
    ),
    Layout(
        "LCVP",
        name=("Input.Taxon",),
        told_by=("Input.Taxon", "Output.Taxon", "Status"),
        status="Status",
        accepted_name="Output.Taxon",
        family="Family",
    ),
    Layout(
        "a table of names",
        name=("scientificName",),
        told_by=("scientificName", "acceptedName"),
        id="taxonID",
        authorship="scientificNameAuthorship",
        status="status",
        accepted_name="acceptedName",
        accepted_authorship="acceptedNameAuthorship",
        family="family",
        genus="genus",
    ),
)
"""Tried in this order."""

ALIASES = {
    "scientificnameauthorship": ("authorship", "author", "authors"),
    "status": ("taxonomicStatus",),
}
"""Other headings of the same columns, in tables of one's own."""

KNOWN = (
    "WFO (classification.csv), WCVP (wcvp_names.csv, wcvp_taxon.csv), GBIF backbone (Taxon.tsv, "
    "simple.txt), LCVP, or columns scientificName and acceptedName"
)


def plain(column: str) -> str:
    """Returns a heading as it is compared."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


@dataclass(frozen=True)
class Recognised:
    """A layout found in a file: how to split it, and which of its columns to read."""

    layout: Layout
    delimiter: str
    quoted: bool
    columns: dict[str, str]
    """For each field of the layout, and `name0`, `name1`, ..., the heading in this file."""


def recognise(first_line: str) -> Recognised | None:
    """Tells a table by its first line."""
    for delimiter in sorted(DELIMITERS, key=first_line.count, reverse=True):
        cells = [cell.strip().strip('"') for cell in first_line.split(delimiter)]
        here = {plain(cell): cell for cell in cells}
        for layout in LAYOUTS:
            if layout.header:
                if delimiter == "\t" and _is_simple(cells):
                    return Recognised(layout, delimiter, False, _columns(layout, layout.header))
            elif all(plain(column) in here for column in layout.told_by):
                quoted = delimiter in ",;" or first_line.startswith('"')
                return Recognised(layout, delimiter, quoted, _columns(layout, cells))
    return None


def _is_simple(cells: Sequence[str]) -> bool:
    """Whether a line without heading is one of GBIF's `simple.txt`."""
    return len(cells) == len(_SIMPLE) and cells[0].isdigit() and cells[3] in ("t", "f")


def _columns(layout: Layout, cells: Sequence[str]) -> dict[str, str]:
    here = {plain(cell): cell for cell in reversed(cells)}
    wanted = layout.columns() | {f"name{i}": column for i, column in enumerate(layout.name)}
    found: dict[str, str] = {}
    for field, column in wanted.items():
        names = (plain(column), *map(plain, ALIASES.get(plain(column), ())))
        match = next((here[name] for name in names if name in here), None)
        if match is not None:
            found[field] = match
    return found
