"""The tables of doubtful names: for people, and as new Darwin Core identifications."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from herbzoo.curation.case import candidate_of, case_id
from herbzoo.curation.conflicts import wrongness
from herbzoo.curation.naming import NO_RANK
from herbzoo.curation.reasons import DATED, reasons_of
from herbzoo.curation.result_tables import SHEET, Determiner, write_identifications, write_table
from herbzoo.curation.suspect_cases import list_of
from herbzoo.curation.suspects import Suspects
from herbzoo.data.records import SpecimenRecord
from herbzoo.identification import Candidate
from herbzoo.taxonomy import RANKS

SUSPECTS_FILE, CONFLICTS_FILE = "suspects.csv", "conflicts.csv"
UNJUDGED = (
    "No other gathering of its species, genus or family is here, so its name cannot be judged."
)
SUSPECT_COLUMNS = (
    "position",
    *SHEET,
    "scientificName",
    "suspicion",
    "list",
    "judgedAt",
    "disagreement",
    "proposedName",
    "proposedAuthorship",
    "proposedGenus",
    "proposedFamily",
    "proposedTaxonID",
    "proposedProbability",
    "presentProbability",
    "confidentLearning",
    "identificationQualifier",
    "identifiedBy",
    DATED,
    "reasons",
    "caseID",
)
CONFLICT_COLUMNS = (
    "conflict",
    "foundBy",
    *SHEET,
    "recordedBy",
    "recordNumber",
    "eventDate",
    "scientificName",
    "identifiedBy",
    "probabilityWrong",
)


def write_suspects(folder: Path, found: Suspects, listed: Sequence[int]) -> Path:
    """Writes every name, the most suspicious first; those that cannot be judged come last.

    Args:
        folder: of the results.
        found: what was found.
        listed: the rows whose names are doubtful; the others get no reasons.
    """
    unjudged = np.flatnonzero(~np.isfinite(found.suspicion))
    order = [*found.order.tolist(), *unjudged.tolist()]
    doubtful = set(listed)
    rows = [_suspect(found, row, row in doubtful) for row in order]
    for position, row in enumerate(rows, start=1):
        row["position"] = str(position)
    return write_table(folder / SUSPECTS_FILE, SUSPECT_COLUMNS, rows)


def write_proposals(
    folder: Path, found: Suspects, listed: list[int], determiner: Determiner
) -> Path:
    """Writes what each doubtful sheet may be instead, as new Darwin Core identifications.

    Args:
        folder: of the results.
        found: what was found.
        listed: the rows.
        determiner: the model.
    """
    rows = (_identification(found, row, determiner) for row in listed)
    return write_identifications(folder, [row for row in rows if row])


def write_conflicts(folder: Path, found: Suspects) -> Path:
    """Writes every gathering under several names, all its sheets together."""
    rows = []
    for number, conflict in enumerate(found.conflicts, start=1):
        wrong = wrongness(conflict, found.judged, found.names)
        for row in conflict.rows:
            written = _columns(found, row, CONFLICT_COLUMNS)
            written |= {"conflict": str(number), "foundBy": conflict.found_by}
            share = wrong.get(row, found.suspicion[row])
            written["probabilityWrong"] = f"{share:.4f}" if np.isfinite(share) else ""
            rows.append(written)
    return write_table(folder / CONFLICTS_FILE, CONFLICT_COLUMNS, rows)


def _suspect(found: Suspects, row: int, listed: bool) -> dict[str, str]:
    judged = found.judged
    written = _columns(found, row, SUSPECT_COLUMNS)
    written["identificationQualifier"] = found.names.qualifier[row]
    written["caseID"] = case_id(
        SpecimenRecord(
            image=written["image"],
            scientificName=written["scientificName"],
            occurrenceID=written["occurrenceID"],
        )
    )
    if not np.isfinite(found.suspicion[row]):
        return written | {"reasons": UNJUDGED}
    written |= {
        "suspicion": f"{found.suspicion[row]:.4f}",
        "disagreement": found.disagreement(row),
        "confidentLearning": str(bool(judged.issue[row])).lower(),
    }
    if judged.rank[row] != NO_RANK:  # or else its duplicates alone speak against it
        written["judgedAt"] = RANKS[judged.rank[row]]
        written["presentProbability"] = f"{judged.own[row]:.4f}"
    if proposed := found.proposals(row):
        taxon = _candidate(found, *proposed[0])
        written |= {
            "proposedName": taxon.scientificName,
            "proposedAuthorship": taxon.scientificNameAuthorship,
            "proposedGenus": taxon.genus,
            "proposedFamily": taxon.family,
            "proposedTaxonID": taxon.taxonID,
            "proposedProbability": f"{taxon.score:.4f}",
        }
    if listed:
        written |= {"list": list_of(found, row), "reasons": " ".join(reasons_of(found, row))}
    return written


def _identification(found: Suspects, row: int, determiner: Determiner) -> dict[str, str]:
    """Returns a row; {} where nothing can be proposed."""
    proposed = found.proposals(row)
    if not proposed:
        return {}
    taxon = _candidate(found, *proposed[0])
    present, determined = (found.records[name][row] for name in ("scientificName", "identifiedBy"))
    by = f", determined by {determined}" if determined else ""
    return determiner.identification(
        _columns(found, row, SHEET),
        taxon,
        f"proposed with probability {taxon.score:.2f}; the present name {present}{by} is wrong "
        f"with probability {found.suspicion[row]:.2f} and stands until a person decides",
    )


def _candidate(found: Suspects, species: int, score: float) -> Candidate:
    return candidate_of(found.names.taxa[species], score)


def _columns(found: Suspects, row: int, names: Sequence[str]) -> dict[str, str]:
    """Returns those columns that the collection has."""
    return {name: found.records[name][row] for name in names if name in found.records}
