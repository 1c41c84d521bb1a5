"""A list of taxa to choose among, such as a regional checklist: a name a line, or a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from herbzoo.data.readers.columns import genus_of
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import is_table_path, read_table
from herbzoo.errors import DataError
from herbzoo.name_usages import name_key
from herbzoo.names import ParsedName, parse_name
from herbzoo.taxonomy import Taxon

NAME = "scientificName"
FACTS = (
    *("scientificNameAuthorship", "genus", "family", "taxonID"),
    *("vernacularName", "traits", "taxonRank"),
)
"""The columns of a table that are read beside `NAME`, where they are there."""
GIVEN = "the list of names"
"""What a list is called that is no file."""
KINDS = "a text file with a name a line, or a table (CSV, TSV, JSON lines, Parquet)"
ABOVE = frozenset(
    (
        *("domain", "kingdom", "subkingdom", "phylum", "subphylum", "division", "class"),
        *("subclass", "superorder", "order", "suborder", "superfamily", "subfamily", "tribe"),
        *("subtribe", "subgenus", "section", "subsection", "series"),
    )
)
"""Values of `taxonRank` that name neither a family, nor a genus, nor what is below."""
_FAMILIES = frozenset(
    (
        *("Compositae", "Cruciferae", "Gramineae", "Guttiferae"),
        *("Labiatae", "Leguminosae", "Palmae", "Umbelliferae"),
    )
)
"""Families whose names do not end in -aceae (ICN Art. 18.5)."""
_SIGNS = "×+ "
_BEGINNING = 1 << 16
_SHOWN = 6


@dataclass(frozen=True)
class TaxaList:
    """The taxa of a list in its order, each once."""

    name: str
    """The file, or `GIVEN`."""
    taxa: tuple[Taxon, ...]
    repeated: tuple[str, ...] = ()
    """Names that stood there once more."""
    unparsed: tuple[str, ...] = ()
    """Names that do not read as scientific names, and are kept as they stood."""
    above: tuple[str, ...] = ()
    """Names that were left out because their `taxonRank` is one of `ABOVE`."""

    def __len__(self) -> int:
        """Returns the number of taxa."""
        return len(self.taxa)


def read_taxa(path: str | Path) -> TaxaList:
    """Reads a list of taxa, which may be species, genera or families.

    A text file has a name a line, with or without its authors; what follows a `#` is a comment. A
    table has Darwin Core columns: `scientificName` and any of `FACTS`. A name that differs from one
    before in nothing but authors, capitals, diacritics or the sign of hybrids is the same.

    Raises:
        DataError: if there is no such file, it is of another kind, or it names no taxon.
    """
    file = Path(path).expanduser()
    beginning = _beginning(file)
    reading = _Reading()
    if is_table_path(file.name) or _has_header(beginning):
        for name, facts in _table_rows(file):
            reading.add(name, facts)
    else:
        if beginning.lstrip()[:1] in (b"{", b"[", b"<"):
            raise DataError(f"{file} is JSON or XML and no list of taxa: give {KINDS}")
        for line in _lines(file):
            reading.add(line, {})
    return reading.taken(str(path))


def taxa_of(names: Iterable[str]) -> TaxaList:
    """Makes a list of names, as `read_taxa` does of the lines of a file.

    Raises:
        DataError: if there are none.
    """
    reading = _Reading()
    for name in names:
        reading.add(name, {})
    return reading.taken(GIVEN)


def rank_of(taxon: Taxon) -> str:
    """Returns `family` or `genus` for a taxon that is one by its name, else `species`."""
    if taxon.scientificName == taxon.family:
        return "family"
    return "genus" if taxon.scientificName.lstrip(_SIGNS) == taxon.genus else "species"


class _Reading:
    """Takes names one after the other."""

    def __init__(self) -> None:
        self.taxa: dict[str, Taxon] = {}
        self.repeated: list[str] = []
        self.unparsed: list[str] = []
        self.above: list[str] = []

    def add(self, name: str, facts: Mapping[str, str]) -> None:
        text, stated = _one_space(name), _one_space(facts.get("scientificNameAuthorship", ""))
        if not text:
            return
        if facts.get("taxonRank", "").strip().lower() in ABOVE:
            self.above.append(text)
            return
        stem = (text.removesuffix(stated).strip(" ,") if stated else "") or text
        # Not the parse that is remembered: a list names each taxon once, and may have very many.
        parsed = parse_name.__wrapped__(stem)
        taxon = _taxon(stem, stated, parsed, facts)
        key = name_key(taxon.scientificName) or taxon.scientificName
        if key in self.taxa:
            self.repeated.append(text)
            return
        self.taxa[key] = taxon
        if parsed.problem:
            self.unparsed.append(taxon.scientificName)

    def taken(self, name: str) -> TaxaList:
        if not self.taxa:
            left = f" but {self.above[0]} and others of higher ranks" if self.above else ""
            raise DataError(
                f"{name} names no taxon{left}: give one species, genus or family a line"
            )
        found = (self.repeated, self.unparsed, self.above)
        return TaxaList(name, tuple(self.taxa.values()), *map(tuple, found))


def _taxon(stem: str, stated: str, parsed: ParsedName, facts: Mapping[str, str]) -> Taxon:
    plain = bool(parsed.name) and not parsed.problem and not parsed.qualifier
    name = parsed.name if plain else stem
    genus = _one_space(facts.get("genus", "")) or (parsed.genus if plain else genus_of(name))
    family = _one_space(facts.get("family", ""))
    rank = facts.get("taxonRank", "").strip().lower()
    bare = name.lstrip(_SIGNS)
    if rank == "family" or (rank != "genus" and plain and is_family(bare)):
        genus, family = "", name
    elif plain and " " not in bare:
        genus = bare
    return Taxon(
        name,
        (stated or parsed.authorship) if plain else stated,
        genus,
        family,
        facts.get("taxonID", "").strip(),
        vernacularName=_one_space(facts.get("vernacularName", "")),
        traits=_one_space(facts.get("traits", "")),
    )


def is_family(word: str) -> bool:
    """Tells whether a word is the name of a family."""
    return (word.endswith("aceae") and " " not in word) or word in _FAMILIES


def _one_space(text: str) -> str:
    return " ".join(text.split())


def _beginning(file: Path) -> bytes:
    """Returns the first bytes of a file that may be a list."""
    if file.is_dir():
        raise DataError(f"{file} is a folder: a list of taxa is {KINDS}")
    try:
        with file.open("rb") as stream:
            beginning = stream.read(_BEGINNING)
    except FileNotFoundError as error:
        raise DataError(f"there is no list of taxa {str(file)!r}: give {KINDS}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{file} is not UTF-8 (it looks like UTF-16); save it as UTF-8")
    if b"\0" in beginning and file.suffix.lower() != ".parquet":
        raise DataError(f"{file} is no text: a list of taxa is {KINDS}")
    return beginning.removeprefix(b"\xef\xbb\xbf")


def _has_header(beginning: bytes) -> bool:
    """Tells whether a file of another suffix is a table all the same: several columns are named."""
    first = beginning.lstrip().partition(b"\n")[0].lower()
    return NAME.lower().encode() in first and any(mark in first for mark in (b"\t", b",", b";"))


def _lines(file: Path) -> Iterator[str]:
    first = True
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{file} line {number} is not UTF-8 (byte 0x{raw[error.start]:02x} looks like "
                    "Latin-1 or Windows-1252); save it as UTF-8"
                ) from error
            for line in text.split("\r"):
                name = line.partition("#")[0].strip()
                if "\t" in name:
                    raise DataError(
                        f"{file} line {number} has several columns: a table needs a first line "
                        f"that names them, {NAME} among them"
                    )
                if name and not (first and name.strip('"').lower() == NAME.lower()):
                    yield name
                first = first and not name


def _table_rows(file: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    with file.open("rb") as stream:
        frame = read_table(stream, str(file), Reading(names_required=False))
    spelt = {column.lower(): column for column in reversed(list(frame.columns))}
    if NAME.lower() not in spelt:
        shown = ", ".join(map(repr, frame.columns[:_SHOWN]))
        more = ", ..." if len(frame.columns) > _SHOWN else ""
        raise DataError(
            f"{file} has no column {NAME}: its first line names {shown}{more}; call the column of "
            "names so, or give a text file with a name a line"
        )
    there = {term: spelt[term.lower()] for term in FACTS if term.lower() in spelt}
    columns = [frame[column].tolist() for column in (spelt[NAME.lower()], *there.values())]
    for name, *facts in zip(*columns, strict=True):
        yield name, dict(zip(there, facts, strict=True))
