"""Small Darwin Core Archives, built as publishers and GBIF write them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

DWC = "http://rs.tdwg.org/dwc/terms/"
DCT = "http://purl.org/dc/terms/"
AC = "http://rs.tdwg.org/ac/terms/"
MULTIMEDIA = "http://rs.gbif.org/terms/1.0/Multimedia"
AUDIOVISUAL = "http://rs.tdwg.org/ac/terms/Multimedia"


@dataclass(frozen=True)
class Table:
    """A table of an archive and how `meta.xml` describes it; the first column is the id."""

    file: str
    terms: Sequence[str]
    rows: Sequence[Sequence[str]]
    row_type: str = f"{DWC}Occurrence"
    delimiter: str = "\t"
    quote: str = ""
    encoding: str = "UTF-8"
    header: int = 1
    defaults: Mapping[str, str] | None = None
    written_in: str = ""

    def text(self) -> bytes:
        lines = [["id", *(term.rpartition("/")[2] for term in self.terms)]] * self.header
        rows = [self.delimiter.join(self._cell(cell) for cell in row) for row in self.rows]
        head = [self.delimiter.join(line) for line in lines]
        return ("\n".join([*head, *rows]) + "\n").encode(self.written_in or self.encoding)

    def _cell(self, cell: str) -> str:
        return f"{self.quote}{cell}{self.quote}" if self.quote else cell

    def described(self, kind: str) -> str:
        shown = {"\t": r"\t", "": "", '"': "&quot;"}
        fields = [
            f'<field index="{index}" term="{term}"/>'
            for index, term in enumerate(self.terms, start=1)
        ]
        fields += [
            f'<field term="{term}" default="{value}"/>'
            for term, value in (self.defaults or {}).items()
        ]
        key = "id" if kind == "core" else "coreid"
        return (
            f'<{kind} encoding="{self.encoding}" rowType="{self.row_type}" '
            f'fieldsTerminatedBy="{shown.get(self.delimiter, self.delimiter)}" '
            f'fieldsEnclosedBy="{shown[self.quote]}" linesTerminatedBy="\\n" '
            f'ignoreHeaderLines="{self.header}"><files><location>{self.file}</location></files>'
            f'<{key} index="0"/>{"".join(fields)}</{kind}>'
        )


RECORDS = Table(
    "occurrence.txt",
    tuple(
        f"{DWC}{term}"
        for term in (
            "occurrenceID",
            "basisOfRecord",
            "scientificName",
            "scientificNameAuthorship",
            "catalogNumber",
        )
    ),
    (
        ("1", "SANT:1", "PRESERVED_SPECIMEN", "Acer campestre L.", "L.", "1"),
        (
            "2",
            "SANT:2",
            "PreservedSpecimen",
            "Alyssum loiseleurii P.Fourn. subsp. gallaecicum S.Ortiz",
            "S.Ortiz",
            "2",
        ),
        ("3", "SANT:3", "HumanObservation", "Santolina sp.", "", "3"),
        ("4", "SANT:4", "PreservedSpecimen", "Mentha pulegium L.", "L.", "4"),
    ),
)
"""Four records; the last has no image in `IMAGES`."""

IMAGES = Table(
    "multimedia.txt",
    tuple(f"{DCT}{term}" for term in ("identifier", "type", "format", "license")),
    (
        ("1", "http://img.org/1.jpg", "StillImage", "image/jpeg", "CC0"),
        ("2", "http://img.org/2.jpg", "StillImage", "", ""),
        ("2", "http://img.org/2b.jpg", "", "image/jpeg", ""),
        ("3", "http://other.org/3.jpg", "http://purl.org/dc/dcmitype/StillImage", "", ""),
        ("3", "http://other.org/3.mp3", "Sound", "audio/mpeg", ""),
    ),
    MULTIMEDIA,
)


def meta_xml(core: Table, *extensions: Table) -> bytes:
    parts = core.described("core") + "".join(each.described("extension") for each in extensions)
    space = "http://rs.tdwg.org/dwc/text/"
    return f'<archive xmlns="{space}" metadata="eml.xml">{parts}</archive>'.encode()


def members(core: Table = RECORDS, *extensions: Table) -> dict[str, bytes]:
    """Returns the files of an archive by their names."""
    tables = (core, *extensions)
    return {"meta.xml": meta_xml(*tables), "eml.xml": b"<eml/>"} | {
        table.file: table.text() for table in tables
    }


def write_zip(path: Path, files: Mapping[str, bytes], wrapped_in: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{wrapped_in}{name}", content)
    return path


def write_tree(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def with_rows(table: Table, *rows: Sequence[str]) -> Table:
    """Returns a table with further rows."""
    return replace(table, rows=(*table.rows, *rows))
