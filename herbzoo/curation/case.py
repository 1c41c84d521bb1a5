"""A sheet that somebody should look at, with what speaks for and against its name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from herbzoo.data.records import SpecimenRecord
from herbzoo.identification import Candidate
from herbzoo.taxonomy import Taxon

MISNAMED, CONFLICT, UNKNOWN, BAD_IMAGE = "misnamed", "conflict", "unknown", "bad image"
LISTS = (MISNAMED, CONFLICT, UNKNOWN, BAD_IMAGE)
"""What a case may be listed as: its name is doubtful, duplicates of its gathering have other names,
it fits no known species, or its image is of no use."""
_BETWEEN = "\x1f"
_ID_LETTERS = 16


@dataclass(frozen=True)
class NearSheet:
    """A sheet that is shown beside the one in question."""

    record: SpecimenRecord
    similarity: float
    """Cosine of the embeddings, -1 to 1."""


@dataclass(frozen=True)
class Proposal:
    """What the model would call a sheet."""

    candidate: Candidate
    """With its calibrated score, 0 to 1."""
    near: tuple[NearSheet, ...] = ()
    """Nearest sheets of that taxon, the nearest first."""


@dataclass(frozen=True)
class Case:
    """A sheet in question, with the evidence."""

    id: str
    """The same in every run; `case_id(record)`."""
    list: str
    """One of `LISTS`."""
    record: SpecimenRecord
    """The sheet with its present name."""
    score: float
    """Suspicion or novelty, 0 to 1; what the list is sorted by."""
    reasons: tuple[str, ...] = ()
    """A plain sentence each, the weightiest first."""
    proposals: tuple[Proposal, ...] = ()
    """Best first."""
    near_present: tuple[NearSheet, ...] = ()
    """Nearest other sheets of the present name, the nearest first."""
    group: str = ""
    """Cluster of an unknown (`sp. A`), or gathering of a conflict; '' for none."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Further facts that are worth a line, as `{"identificationQualifier": "cf."}`."""

    def __post_init__(self) -> None:
        """Refuses a list that there is none of, which no page would show."""
        if self.list not in LISTS:
            raise ValueError(f"there is no list {self.list!r}; there are {', '.join(LISTS)}")

    def sheets(self) -> Iterator[SpecimenRecord]:
        """Yields every sheet that the case shows, the one in question first."""
        yield self.record
        for near in (self.near_present, *(proposal.near for proposal in self.proposals)):
            yield from (sheet.record for sheet in near)


def case_id(record: SpecimenRecord) -> str:
    """Returns the id of a sheet's case: of its image, occurrenceID and present name.

    Whoever renames a sheet thereby closes its case, and a decision about it is never taken for one
    about its new name.
    """
    facts = (record.image, record.occurrenceID, record.scientificName)
    return hashlib.sha256(_BETWEEN.join(facts).encode("utf-8", "surrogatepass")).hexdigest()[
        :_ID_LETTERS
    ]


def candidate_of(taxon: Taxon, score: float, rank: str = "species") -> Candidate:
    """Returns a species, or the genus or family it is of, with its probability."""
    if rank == "species":
        names = (taxon.scientificName, taxon.scientificNameAuthorship, taxon.genus)
        return Candidate(*names, taxon.family, taxon.taxonID, rank, score)
    genus = taxon.genus if rank == "genus" else ""
    return Candidate(taxon.at_rank(rank), "", genus, taxon.family, "", rank, score)
