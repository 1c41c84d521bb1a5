"""Names and bases of records as publishers and GBIF write them, in herbzoo's terms."""

from __future__ import annotations

import pandas as pd

from herbzoo.names import parse_name

VERBATIM = "verbatimScientificName"
"""The column with the name as the archive has it, authors included."""
BASES = {
    basis.lower(): basis
    for basis in (
        "PreservedSpecimen",
        "HumanObservation",
        "MachineObservation",
        "LivingSpecimen",
        "FossilSpecimen",
        "MaterialSample",
        "MaterialCitation",
        "MaterialEntity",
        "Observation",
        "Occurrence",
    )
}
"""Darwin Core's classes by their letters alone; GBIF writes `PRESERVED_SPECIMEN`."""

_TERMS = (
    "scientificname",
    "scientificnameauthorship",
    "genus",
    "specificepithet",
    "infraspecificepithet",
)
_BETWEEN = "\x1f"
"""Separates fields: a control character, which no name holds."""


def plain_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Takes the authors out of `scientificName` and keeps it as it was in `VERBATIM`.

    Where the archive gives no `scientificNameAuthorship`, it is filled from the name; where it
    gives no `scientificName`, that is made of genus and epithets.
    """
    column = {name.lower(): name for name in frame.columns}
    blank = pd.Series("", index=frame.index, dtype=str)
    texts = [frame[column[term]] if term in column else blank for term in _TERMS]
    together = texts[0]
    for text in texts[1:]:
        together = together + _BETWEEN + text
    codes, distinct = pd.factorize(together)
    plain = [_plain(*text.split(_BETWEEN)) for text in map(str, distinct)]

    def spread(part: int) -> pd.Series:
        values = pd.Series([each[part] for each in plain], dtype=str)
        return values.iloc[codes].set_axis(frame.index)

    spelt = {"scientificname", "scientificnameauthorship", VERBATIM.lower()}
    rest = frame[[name for name in frame.columns if name.lower() not in spelt]]
    return rest.assign(
        scientificName=spread(0), scientificNameAuthorship=spread(1), **{VERBATIM: spread(2)}
    )


def _composed(genus: str, epithet: str, infraspecific: str) -> str:
    """Returns genus and epithets as one name; an epithet without a genus is no name."""
    words = [genus.strip(), epithet.strip(), infraspecific.strip()]
    return " ".join(filter(None, words)) if words[0] else ""


def _plain(name: str, authorship: str, *parts: str) -> tuple[str, str, str]:
    """Returns a name without its authors, its authors, and the name as it was given.

    What is uncertain (`Quercus cf. robur`, `Santolina sp.`) stays so, and is another name.
    """
    given = name if name.strip() else _composed(*parts[:3])
    name, authorship = " ".join(given.split()), " ".join(authorship.split())
    stem = name.removesuffix(authorship).strip(" ,") if authorship else name
    parsed = parse_name(stem or name)
    if parsed.problem or parsed.qualifier or not parsed.name:
        return stem or name, authorship, given
    return parsed.name, authorship or parsed.authorship, given
