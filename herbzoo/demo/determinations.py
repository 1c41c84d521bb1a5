"""Determinations that a visitor makes: agreeing with the model or correcting it, as Darwin Core.

A row is a Darwin Core Identification (https://dwc.tdwg.org/terms/#identification). The person is
the determiner; which model proposed what is in `identificationReferences` and the remarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from html import escape

from herbzoo.demo.model import Answer
from herbzoo.demo.wording import count, download_html, name_html
from herbzoo.errors import HerbzooError
from herbzoo.identification import UNKNOWN, Candidate
from herbzoo.identification_output import csv_text
from herbzoo.names import parse_name
from herbzoo.taxonomy import Taxon, Taxonomy

FILE_NAME = "determinations.csv"
STATUS = "ValidatedByHuman"
_LONGEST = 500


@dataclass(frozen=True)
class Determination:
    """A row; every field is a Darwin Core term."""

    associatedMedia: str
    scientificName: str
    scientificNameAuthorship: str
    genus: str
    family: str
    taxonID: str
    taxonRank: str
    identifiedBy: str
    dateIdentified: str
    identificationVerificationStatus: str
    identificationRemarks: str
    identificationReferences: str

    def as_dict(self) -> dict[str, str]:
        """Returns the terms and their values."""
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(Determination))


def determine(
    image: str,
    answer: Answer,
    name: str,
    person: str,
    remarks: str,
    reference: str,
    taxonomy: Taxonomy,
) -> Determination:
    """Makes a row of what a visitor says of a picture.

    Args:
        image: what the picture is called.
        answer: what the model said.
        name: the visitor's own, with or without authors; '' agrees with the model.
        person: who determines.
        remarks: the visitor's own.
        reference: the model and its version.
        taxonomy: the model's, in which facts of a name are looked up.

    Raises:
        HerbzooError: if nobody is named, or there is nothing to agree with.
    """
    person, name = _one_line(person), _one_line(name)
    if not person:
        raise HerbzooError("a determination has a determiner: fill in your name first")
    proposed = answer.best
    said = _proposal(answer)
    if name and name != _written(proposed):
        taxon, rank = named(name, taxonomy)
        verb = "corrects" if proposed.taxonRank != UNKNOWN else "names what is unknown to"
    elif proposed.taxonRank == UNKNOWN:
        raise HerbzooError("the model gave no name to agree with: write the name that you see")
    else:
        taxon, rank, verb = _taxon_of(proposed), proposed.taxonRank, "agrees with"
    own = _one_line(remarks)
    return Determination(
        associatedMedia=image,
        scientificName=taxon.scientificName,
        scientificNameAuthorship=taxon.scientificNameAuthorship,
        genus=taxon.genus,
        family=taxon.family,
        taxonID=taxon.taxonID,
        taxonRank=rank,
        identifiedBy=person,
        dateIdentified=datetime.now(UTC).date().isoformat(),
        identificationVerificationStatus=STATUS,
        identificationRemarks="; ".join(
            part for part in (own, f"{verb} the model ({said})") if part
        ),
        identificationReferences=reference,
    )


def named(name: str, taxonomy: Taxonomy) -> tuple[Taxon, str]:
    """Returns the taxon that a written name is, with what the model knows of it, and its rank."""
    parsed = parse_name(name)
    plain = bool(parsed.name) and not parsed.problem and not parsed.qualifier
    for asked in (name, parsed.name if plain else ""):
        if asked and asked in taxonomy.index:
            return taxonomy.taxa[taxonomy.index[asked]], "species"
    if not plain:
        return Taxon(name), ""
    words = parsed.name.split()
    if len(words) == 1:
        if words[0].endswith("aceae"):
            return Taxon(name, family=words[0]), "family"
        return Taxon(name, genus=words[0]), "genus"
    families = {taxon.family for taxon in taxonomy.taxa if taxon.genus == parsed.genus}
    family = next(iter(families)) if len(families) == 1 else ""
    rank = "species" if len(words) == 2 else ""
    return Taxon(parsed.name, parsed.authorship, parsed.genus, family), rank


def csv_of(rows: Sequence[Determination]) -> str:
    """Returns determinations as CSV."""
    return csv_text([COLUMNS, *map(astuple, rows)])


def determinations_html(rows: Sequence[Determination]) -> str:
    """Returns the determinations of a visit, the latest first, and a link to save them."""
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td>{escape(row.associatedMedia)}</td>"
        f'<th scope="row">{_name(row)}'
        f"</th><td>{escape(row.identifiedBy)}</td><td>{escape(row.identificationRemarks)}</td></tr>"
        for row in reversed(rows)
    )
    made = count(len(rows), "determination", "determinations")
    return (
        '<div class="hz-scroll" tabindex="0" role="region" aria-label="Determinations">'
        f'<table class="hz-table"><caption>{made} of this visit</caption>'
        "<thead><tr><th scope='col'>Picture</th><th scope='col'>Name</th>"
        "<th scope='col'>Determiner</th><th scope='col'>Remarks</th></tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
        f"<p>{download_html(csv_of(rows), FILE_NAME, 'Download Darwin Core (CSV)')}</p>"
        '<p class="hz-meaning">Kept in this page only: download them before you close it.</p>'
    )


def _name(row: Determination) -> str:
    return name_html(row.scientificName, row.scientificNameAuthorship, row.taxonRank)


def _proposal(answer: Answer) -> str:
    best = answer.best
    if best.taxonRank == UNKNOWN:
        return f"unknown at a precision of {answer.precision}"
    kind = "confidence" if answer.calibrated else "uncalibrated score"
    return f"{_written(best)}, {kind} {best.score:.2f}"


def _written(candidate: Candidate) -> str:
    return f"{candidate.scientificName} {candidate.scientificNameAuthorship}".strip()


def _taxon_of(candidate: Candidate) -> Taxon:
    return Taxon(
        candidate.scientificName,
        candidate.scientificNameAuthorship,
        candidate.genus,
        candidate.family,
        candidate.taxonID,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
