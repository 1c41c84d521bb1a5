"""The tables of unknown images: for people, and as new Darwin Core identifications."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from herbzoo.curation.case import BAD_IMAGE, MISNAMED, UNKNOWN, candidate_of, case_id
from herbzoo.curation.clusters import Cluster
from herbzoo.curation.novel_cases import NovelCases
from herbzoo.curation.novelty import Novelty
from herbzoo.curation.result_tables import SHEET, Determiner, write_identifications, write_table
from herbzoo.identification import Candidate
from herbzoo.identification_output import LIST_SEPARATOR

NOVEL_FILE, CLUSTERS_FILE = "novel.csv", "clusters.csv"
NOVEL_COLUMNS = (
    "position",
    *SHEET,
    "scientificName",
    "list",
    "cluster",
    "novelty",
    "pValue",
    "promised",
    "nearestName",
    "nearestProbability",
    "sureRank",
    "sureName",
    "sureProbability",
    "presentNamePValue",
    "imageFault",
    "reasons",
    "caseID",
)
_GATHERED = {
    "collectors": "recordedBy",
    "localities": "locality",
    "institutions": "institutionCode",
    "dates": "eventDate",
    "catalogNumbers": "catalogNumber",
    "presentNames": "scientificName",
    "images": "image",
}
"""Columns of clusters.csv, and those of the records that they collect."""
CLUSTER_COLUMNS = (
    "cluster",
    "size",
    "taxonRank",
    "taxon",
    "probability",
    "nearestKnown",
    "typicalImage",
    "typicalOccurrenceID",
    *_GATHERED,
)


def write_novel(folder: Path, found: Novelty, cases: NovelCases, order: Sequence[int]) -> Path:
    """Writes a line for every image, those that are listed first.

    Args:
        folder: of the results.
        found: what was found.
        cases: give the reasons.
        order: all rows.
    """
    lists, rows = found.lists, []
    for position, row in enumerate(order, start=1):
        record = found.records[row]
        rank, taxon, probability = found.sure_rank(row) if lists[row] == UNKNOWN else ("", "", 0.0)
        best = found.known.taxa[found.candidates[row, 0]]
        named = found.name_p[row]
        rows.append(
            {
                **{name: getattr(record, name) for name in (*SHEET, "scientificName")},
                "position": str(position),
                "list": lists[row],
                "cluster": cases.cluster_name(row),
                "novelty": f"{1 - found.p[row]:.4f}",
                "pValue": f"{found.p[row]:.5f}",
                "promised": str(bool(found.promised[row])).lower(),
                "nearestName": best.scientificName,
                "nearestProbability": f"{found.probabilities[row, 0]:.4f}",
                "sureRank": rank,
                "sureName": taxon,
                "sureProbability": f"{probability:.4f}" if rank else "",
                "presentNamePValue": f"{named:.5f}" if named == named else "",
                "imageFault": found.faults[row],
                "reasons": " ".join(cases.reasons(row)),
                "caseID": case_id(record),
            }
        )
    return write_table(folder / NOVEL_FILE, NOVEL_COLUMNS, rows)


def write_clusters(folder: Path, found: Novelty, clusters: Iterable[Cluster]) -> Path:
    """Writes a line for each group of unknown images, the largest first."""
    frame = found.rows.collection.frame
    rows = []
    for cluster in clusters:
        members = frame.iloc[list(cluster.rows)]
        typical = members.iloc[0]
        rows.append(
            {
                "cluster": cluster.name,
                "size": str(len(cluster.rows)),
                "taxonRank": cluster.rank,
                "taxon": cluster.taxon,
                "probability": f"{cluster.probability:.4f}" if cluster.rank else "",
                "nearestKnown": LIST_SEPARATOR.join(
                    f"{found.known.taxa[species].scientificName} ({likeness:.2f})"
                    for species, likeness in cluster.nearest
                ),
                "typicalImage": str(typical["image"]),
                "typicalOccurrenceID": str(typical["occurrenceID"]),
                **{name: _together(members, column) for name, column in _GATHERED.items()},
            }
        )
    return write_table(folder / CLUSTERS_FILE, CLUSTER_COLUMNS, rows)


def write_proposals(folder: Path, found: Novelty, determiner: Determiner) -> Path:
    """Writes what unknown and misnamed images may be, as new Darwin Core identifications.

    An unknown one is named at the rank that is sure, or has no name.

    Args:
        folder: of the results.
        found: what was found.
        determiner: the model.
    """
    rows = []
    for row in [*found.in_order(UNKNOWN).tolist(), *found.in_order(MISNAMED).tolist()]:
        sheet = {name: getattr(found.records[row], name) for name in SHEET}
        propose = _unknown if found.lists[row] == UNKNOWN else _misnamed
        rows.append(determiner.identification(sheet, *propose(found, row)))
    return write_identifications(folder, rows)


def all_in_order(found: Novelty) -> list[int]:
    """Returns all rows: unknown ones first, then misnamed and bad ones, then the others."""
    return [
        row for name in (UNKNOWN, MISNAMED, BAD_IMAGE, "") for row in found.in_order(name).tolist()
    ]


def _unknown(found: Novelty, row: int) -> tuple[Candidate | None, str]:
    """Returns what an unknown image may be, and why."""
    why = f"fits no known species (p-value {found.p[row]:.4f}, score {found.score}); "
    rank, name, probability = found.sure_rank(row)
    if not rank:
        return None, f"{why}neither genus nor family is sure"
    known = next(one for one in found.known.taxa if one.at_rank(rank) == name)
    return (
        candidate_of(known, probability, rank),
        f"{why}{rank} with probability {probability:.2f}",
    )


def _misnamed(found: Novelty, row: int) -> tuple[Candidate, str]:
    """Returns what a misnamed image may be, and why."""
    best = found.known.taxa[found.candidates[row, 0]]
    taxon = candidate_of(best, float(found.probabilities[row, 0]))
    return taxon, (
        f"probability {taxon.score:.2f}; its present name fits {found.name_p[row]:.1%} of known "
        "specimens as badly"
    )


def _together(members: pd.DataFrame, column: str) -> str:
    if column not in members:
        return ""
    return LIST_SEPARATOR.join(dict.fromkeys(text for text in members[column].astype(str) if text))
