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
from herbzoo.curation.reasons import notes_of, reasons_of
from herbzoo.curation.suspects import Suspects

LISTED = 0.5
"""Suspicion from which on a name is listed as doubtful: it is as likely wrong as right."""


def listed_rows(found: Suspects, least: float = LISTED) -> list[int]:
    """Returns the rows whose names are wrong with at least some probability, in order."""
    return [int(row) for row in found.order if found.suspicion[row] >= least]


def suspect_case(found: Suspects, row: int) -> Case:
    """Returns a row with the evidence about its name."""
    record = found.record(row)
    conflict = found.conflict_of.get(row)
    return Case(
        case_id(record),
        MISNAMED if conflict is None else CONFLICT,
        record,
        float(found.suspicion[row]),
        reasons_of(found, row),
        tuple(
            Proposal(
                candidate_of(found.names.taxa[species], score),
                _near(found, found.evidence.proposed(row, species)),
            )
            for species, score in proposals_of(found, row)
        ),
        _near(found, found.evidence.present(row)),
        "" if conflict is None else _gathering(found, row),
        notes_of(found, row),
    )


def proposals_of(found: Suspects, row: int) -> list[tuple[int, float]]:
    """Returns what else a row may be, best first; first what its duplicates are named as."""
    proposals = dict(found.proposals(row))
    conflict = found.conflict_of.get(row)
    if conflict is None:
        return list(proposals.items())
    own = int(found.names.species[row])
    others = [one for one in conflict.names(found.names) if one != own]
    scores = {one: found.judged.probability(row, one) for one in others}
    first = sorted(scores.items(), key=lambda item: -item[1])
    return first + [item for item in proposals.items() if item[0] not in scores]


def _gathering(found: Suspects, row: int) -> str:
    record = found.record(found.conflict_of[row].rows[0])
    event = " ".join(filter(None, (record.recordedBy, record.recordNumber)))
    return event or record.occurrenceID or record.catalogNumber or record.image


def _near(found: Suspects, near: Near) -> tuple[NearSheet, ...]:
    return tuple(NearSheet(found.record(row), round(cosine, 4)) for row, cosine in near)
