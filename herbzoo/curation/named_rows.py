"""What the rows of a collection are called, at the ranks at which their names can be judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from herbzoo.data.label_text import is_absent
from herbzoo.data.records import Collection
from herbzoo.data.taxa_list import is_family
from herbzoo.errors import DataError
from herbzoo.name_words import NO_NAMES
from herbzoo.names import parse_name
from herbzoo.taxonomy import Taxon, Taxonomy

QUALIFIER = "identificationQualifier"
UNNAMED = -1
"""Number of a row that has no name at a rank."""
_DOUBT = re.compile(r"\b(?:cf|cfr|aff)\b|\?", re.IGNORECASE)
_HYBRID = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class NamedRows:
    """Names of `N` rows as numbers, and the taxa these are of."""

    taxa: tuple[Taxon, ...]
    """The `C` species; names below species count as their species."""
    species: np.ndarray
    """`[N]`, positions in `taxa`; `UNNAMED` where the name stops above species."""
    genera: tuple[str, ...]
    families: tuple[str, ...]
    genus: np.ndarray
    """`[N]`, positions in `genera`; `UNNAMED` where it is not known."""
    family: np.ndarray
    """`[N]`, positions in `families`; `UNNAMED` where it is not known."""
    genus_of: np.ndarray
    """`[C]`, of each species."""
    family_of: np.ndarray
    """`[C]`, of each species."""
    qualifier: tuple[str, ...]
    """Of each row what makes its name doubtful: `cf.`, `aff.`, `?`; '' for nothing."""

    @property
    def doubtful(self) -> np.ndarray:
        """Whether a row's determiner was in doubt, `[N]`; such a name vouches for no other."""
        return np.array([bool(text) for text in self.qualifier], dtype=bool)

    def pools(self, rank: str) -> np.ndarray:
        """Returns the number of each species' taxon at a rank, `[C]`."""
        if rank == "species":
            return np.arange(len(self.taxa))
        return self.genus_of if rank == "genus" else self.family_of

    def at(self, rank: str) -> np.ndarray:
        """Returns the number of each row's taxon at a rank, `[N]`."""
        return {"species": self.species, "genus": self.genus, "family": self.family}[rank]

    def name_at(self, rank: str, number: int) -> str:
        """Returns the name of a taxon at a rank."""
        if rank == "species":
            return self.taxa[number].scientificName
        return (self.genera if rank == "genus" else self.families)[number]


def named_rows(collection: Collection, known: Taxonomy | None = None) -> NamedRows:
    """Reads the names of a collection, all of whose rows have one.

    Args:
        collection: names that are synonyms should be resolved before.
        known: completes families, and says which names are synonyms of which.

    Raises:
        DataError: if no row has a name.
    """
    frame = collection.frame
    names = frame["scientificName"]
    if (names == "").all():
        raise DataError(f"{collection.name} has no names in scientificName: nothing to doubt")
    synonyms = {} if known is None else _accepted(known)
    read = {text: _read(text, synonyms) for text in names.unique()}
    species = names.map({text: one.species for text, one in read.items()})
    genus = names.map({text: one.genus for text, one in read.items()})
    family = names.map({text: one.family for text, one in read.items()})
    genus = genus.where((genus != "") | (family != ""), frame["genus"])
    family = family.where(family != "", frame["family"])
    renamed = frame.assign(scientificName=species, genus=genus, family=family)
    taxonomy = (
        Taxonomy.from_collection(replace(collection, frame=renamed))
        if (species != "").any()
        else Taxonomy(())
    )
    family_of_genus = _families(renamed, known)
    taxa = tuple(
        replace(taxon, family=taxon.family or family_of_genus.get(taxon.genus, ""))
        for taxon in taxonomy.taxa
    )
    number = {taxon.scientificName: place for place, taxon in enumerate(taxa)}
    of_row = species.map(number).fillna(UNNAMED).to_numpy(dtype=np.int64)
    row_genus = [taxa[k].genus if k >= 0 else g for k, g in zip(of_row, genus, strict=True)]
    row_family = [
        taxa[k].family if k >= 0 else f or family_of_genus.get(g, "")
        for k, g, f in zip(of_row, genus, family, strict=True)
    ]
    genera, genus_numbers, genus_of = _numbered(row_genus, [taxon.genus for taxon in taxa])
    families, family_numbers, family_of = _numbered(row_family, [taxon.family for taxon in taxa])
    return NamedRows(
        taxa,
        of_row,
        genera,
        families,
        genus_numbers,
        family_numbers,
        genus_of,
        family_of,
        _qualifiers(frame, {text: one.doubt for text, one in read.items()}),
    )


class _Name(NamedTuple):
    """What a written name says."""

    species: str = ""
    genus: str = ""
    family: str = ""
    doubt: str = ""


def _read(text: str, synonyms: Mapping[str, str]) -> _Name:
    """Takes a name apart; a text that is none, such as `class 17`, is its own species."""
    parsed = parse_name(text)
    doubt = ", ".join(_DOUBT.findall(parsed.qualifier))
    if parsed.problem:
        return _Name("" if _says_nothing(text) else text, doubt=doubt)
    if is_family(parsed.name):
        return _Name(family=parsed.name, doubt=doubt)
    name = _binomial(parsed.name)
    if name == parsed.genus:
        return _Name(genus=parsed.genus, doubt=doubt)
    accepted = synonyms.get(parsed.name, synonyms.get(name, name))
    # The first word of a hybrid genus is the sign of multiplication.
    return _Name(accepted, parse_name(accepted).genus or accepted.split()[0], doubt=doubt)


def _says_nothing(text: str) -> bool:
    """Tells whether a text stands for no name: `unknown`, `indet.`."""
    return is_absent(text) or text.lower().strip(" .?-") in NO_NAMES


def _binomial(name: str) -> str:
    """Leaves out ranks below species and between it and genus; hybrid formulae stay whole."""
    words = name.split()
    if _HYBRID in words[:2]:
        return " ".join(words[:3])
    if _HYBRID in words:
        return name
    return words[0] if words[1:] and words[1].endswith(".") else " ".join(words[:2])


def _accepted(known: Taxonomy) -> dict[str, str]:
    return {
        synonym: known.taxa[place].scientificName
        for synonym, place in known.index.items()
        if synonym != known.taxa[place].scientificName
    }


def _families(frame: pd.DataFrame, known: Taxonomy | None) -> dict[str, str]:
    """Returns the family of each genus that has one only, in the rows or else in the taxonomy."""
    given = frame[["genus", "family"]].drop_duplicates().itertuples(index=False, name=None)
    found = _single({(str(genus), str(family)) for genus, family in given})
    own = {(taxon.genus, taxon.family) for taxon in known.taxa} if known else set()
    return _single(own) | found


def _single(pairs: set[tuple[str, str]]) -> dict[str, str]:
    of_genus: dict[str, set[str]] = {}
    for genus, family in pairs:
        if genus and family:
            of_genus.setdefault(genus, set()).add(family)
    return {genus: next(iter(found)) for genus, found in of_genus.items() if len(found) == 1}


def _numbered(
    rows: list[str], species: list[str]
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    names = sorted({*rows, *species} - {""})
    number = {name: place for place, name in enumerate(names)} | {"": UNNAMED}
    return (
        tuple(names),
        np.array([number[name] for name in rows], dtype=np.int64),
        np.array([number[name] for name in species], dtype=np.int64),
    )


def _qualifiers(frame: pd.DataFrame, of_name: Mapping[str, str]) -> tuple[str, ...]:
    said = frame[QUALIFIER] if QUALIFIER in frame else pd.Series("", index=frame.index)
    return tuple(
        of_name[name] or (text if _DOUBT.search(text) else "")
        for name, text in zip(frame["scientificName"], said, strict=True)
    )
