"""Cases to review, of sheets of the synthetic flora, without a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from herbzoo.curation.case import LISTS, Case, NearSheet, Proposal, case_id
from herbzoo.curation.case_files import write_cases
from herbzoo.data.records import HERBARIUM, Collection, SpecimenRecord
from herbzoo.data.synthetic import synthetic_collection
from herbzoo.identification import Candidate
from herbzoo.taxonomy import Taxonomy

MODEL = "meadow/flora"


def flora_cases(number: int, seed: int = 0) -> tuple[Collection, list[Case]]:
    """Makes cases of all four lists in turn, the most doubtful first."""
    collection = synthetic_collection(8, seed, max(12, number // 3))
    records = [one for one in collection.records() if one.basisOfRecord == HERBARIUM]
    by_name: dict[str, list[SpecimenRecord]] = {}
    for record in records:
        by_name.setdefault(record.scientificName, []).append(record)
    names = sorted(by_name)
    cases = []
    for place, record in enumerate(records[:: max(1, len(records) // number)][:number]):
        kind = LISTS[(0, 0, 1, 0, 2, 0, 3)[place % 7]]
        others = [name for name in names if name != record.scientificName]
        turned = others[place % len(others) :] + others[: place % len(others)]
        near = [one for one in by_name[record.scientificName] if one != record]
        proposals = [
            Proposal(candidate(by_name[name][0], 0.62 / 2**rank), nears(by_name[name], 0.9, place))
            for rank, name in enumerate(turned[:3])
        ]
        present = nears(near, 0.52, place)
        if kind in LISTS[2:]:
            record, present = replace(record, scientificName="", scientificNameAuthorship=""), ()
        cases.append(
            Case(
                case_id(record),
                kind,
                record,
                round(0.99 - 0.9 * place / number, 3),
                reasons_of(kind, record, turned[0]),
                () if kind == "bad image" else tuple(proposals),
                present,
                "sp. A" if kind == "unknown" else "",
                {"identificationQualifier": "cf."} if place % 5 == 0 else {},
            )
        )
    return collection, cases


def reasons_of(kind: str, record: SpecimenRecord, proposed: str) -> tuple[str, ...]:
    """Says why a sheet is on a list."""
    present = record.scientificName
    return {
        "misnamed": (
            f"Nine of its ten nearest sheets are named {proposed}, one {present}.",
            f"The model gives {present} 2 % when it has not seen this sheet.",
        ),
        "conflict": (
            f"Two duplicates of {record.recordedBy} {record.recordNumber} are named {proposed}.",
        ),
        "unknown": ("No known species lies as near as those of a species do to each other.",),
        "bad image": ("The image shows lettering only, and no plant.",),
    }[kind]


def candidate(record: SpecimenRecord, score: float) -> Candidate:
    return Candidate(
        record.scientificName,
        record.scientificNameAuthorship,
        record.genus,
        record.family,
        record.taxonID,
        "species",
        score,
    )


def nears(records: Sequence[SpecimenRecord], best: float, turn: int) -> tuple[NearSheet, ...]:
    chosen = [records[(turn + step) % len(records)] for step in range(min(4, len(records)))]
    return tuple(NearSheet(one, best - 0.03 * rank) for rank, one in enumerate(chosen))


def write_results(
    folder: Path, collection: Collection, cases: Sequence[Case], kind: str = "suspects"
) -> Path:
    """Writes a results folder, but for the tables for people and the dossier."""
    taxa = Taxonomy.from_collection(collection).taxa
    write_cases(folder, cases, collection.images, workers=0, taxa=taxa)
    summary = {
        "schema_version": 1,
        "kind": kind,
        "model": MODEL,
        "revision": "4f2a91c",
        "created": "2026-11-22T12:00:00Z",
        "collection": collection.name,
        "counts": {"cases": len(cases)},
    }
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def flora_results(folder: Path, number: int = 8) -> Path:
    """Writes a results folder of sheets of the synthetic flora."""
    return write_results(folder, *flora_cases(number))
