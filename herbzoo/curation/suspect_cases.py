"""Doubtful names as cases for people to decide."""

from __future__ import annotations

from herbzoo.curation.case import (
    CONFLICT,
    MISNAMED,
    Case,
    NearSheet,
    Proposal,
    candidate_of,
    case_id,
)
from herbzoo.curation.evidence import Near
from herbzoo.curation.ranking import LISTED
from herbzoo.curation.reasons import notes_of, reasons_of
from herbzoo.curation.suspects import Suspects


def listed_rows(found: Suspects, least: float = LISTED) -> list[int]:
    """Returns the rows whose names are wrong with at least some probability, in order."""
    return [int(row) for row in found.order if found.suspicion[row] >= least]


def suspect_case(found: Suspects, row: int) -> Case:
    """Returns a row with the evidence about its name."""
    record = found.record(row)
    return Case(
        case_id(record),
        list_of(found, row),
        record,
        float(found.suspicion[row]),
        reasons_of(found, row),
        tuple(
            Proposal(
                candidate_of(found.names.taxa[species], score),
                _near(found, found.evidence.proposed(row, species)),
            )
            for species, score in found.proposals(row)
        ),
        _near(found, found.evidence.present(row)),
        _gathering(found, row) if row in found.conflict_of else "",
        notes_of(found, row),
    )


def list_of(found: Suspects, row: int) -> str:
    """Returns what a doubtful name is listed as."""
    return CONFLICT if row in found.conflict_of else MISNAMED


def _gathering(found: Suspects, row: int) -> str:
    record = found.record(found.conflict_of[row].rows[0])
    event = " ".join(filter(None, (record.recordedBy, record.recordNumber)))
    return event or record.occurrenceID or record.catalogNumber or record.image


def _near(found: Suspects, near: Near) -> tuple[NearSheet, ...]:
    return tuple(NearSheet(found.record(row), round(cosine, 4)) for row, cosine in near)
