"""Why a name is doubtful, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from herbzoo.curation.conflicts import RECORDS, Conflict, contradict
from herbzoo.curation.named_rows import QUALIFIER, UNNAMED
from herbzoo.curation.naming import NO_RANK
from herbzoo.curation.suspects import Suspects
from herbzoo.data.event_dates import parse_date
from herbzoo.taxonomy import RANKS

DATED = "dateIdentified"
OLD = 50
"""Years after which a determination is worth a remark: floras have been rewritten since."""
NOTED = (
    QUALIFIER,
    DATED,
    "identificationVerificationStatus",
    "typeStatus",
    "locality",
    "verbatimScientificName",
)
"""Columns that a reviewer wants to see beside those of a record."""
_HARDLY = 0.005


def reasons_of(found: Suspects, row: int) -> tuple[str, ...]:
    """Returns a plain sentence for each thing that speaks against a name, the weightiest first."""
    return tuple(_reasons(found, row))


def notes_of(found: Suspects, row: int) -> dict[str, str]:
    """Returns further facts of a row that are worth a line."""
    there = {name: found.records[name][row] for name in NOTED if name in found.records}
    species = found.names.species[row]
    if species != UNNAMED and _name(found, species) not in _present(found, row):
        there["acceptedNameUsage"] = _name(found, species)
    return {name: text for name, text in there.items() if text}


def _reasons(found: Suspects, row: int) -> Iterator[str]:
    conflict = found.conflict_of.get(row)
    if conflict is not None:
        yield from _conflicting(found, row, conflict)
    likeliest = found.likeliest(row)
    if likeliest:
        yield from _likelier(found, row, likeliest[0])
        yield from _neighbours(found, row, likeliest[0][0])
        yield from _prototypes(found, row, likeliest[0][0])
    if found.judged.issue[row]:
        yield "Confident learning counts its name as wrong."
    yield from _rank(found, row)
    yield from _determination(found, row)


def _name(found: Suspects, species: int) -> str:
    return found.names.taxa[species].scientificName


def _present(found: Suspects, row: int) -> str:
    return found.records["scientificName"][row]


def _conflicting(found: Suspects, row: int, conflict: Conflict) -> Iterator[str]:
    for other in conflict.rows:
        if not contradict(found.names, (row, other)):
            continue
        record = found.record(other)
        name = record.scientificName.rstrip(". ")  # `Fagus sp.` ends a sentence as it is
        sheet = f"{record.institutionCode} {record.catalogNumber}".strip() or record.image
        if conflict.found_by == RECORDS:
            event = f"{record.recordedBy} {record.recordNumber}".strip()
            of = f" of the same gathering ({event})" if event else " of the same gathering"
            yield f"Its duplicate {sheet}{of} is named {name}."
        else:
            yield f"The same picture is there as {sheet}, named {name}."


def _likelier(found: Suspects, row: int, best: tuple[int, float]) -> Iterator[str]:
    species, score = best
    judged = found.judged
    other = f"Judged by all other gatherings, it is {_name(found, species)} with probability "
    other += _share(score)
    if judged.rank[row] == NO_RANK:
        yield f"{other}; but none of these is a relative of {_present(found, row).rstrip('. ')}."
        return
    rank = RANKS[judged.rank[row]]
    own = float(judged.own[row])
    present = _present(found, row)
    if rank != "species":
        taxon = found.names.name_at(rank, int(found.names.at(rank)[row]))
        present = f"the {rank} {taxon}"
    elif own >= score:
        yield f"Judged by all other gatherings, its name is right with probability {_share(own)}."
        return
    yield f"{other}, {present} with {_share(own)}."


def _neighbours(found: Suspects, row: int, species: int) -> Iterator[str]:
    near = found.judged.nearest[row]
    near = near[near != UNNAMED]
    if not len(near):
        return
    rank = next((one for one in RANKS if found.names.at(one)[row] != UNNAMED), "")
    if not rank:
        return
    proposed = int((found.names.species[near] == species).sum())
    own = int((found.names.at(rank)[near] == found.names.at(rank)[row]).sum())
    if proposed or not own:
        are, own_are = ("is" if count < 2 else "are" for count in (proposed, own))
        bear = f"{own_are} of its {rank}"
        if rank == "species":
            bear = f"{'has' if own < 2 else 'have'} its present name"
        yield (
            f"Of the {len(near)} sheets most like it, {proposed or 'none'} {are} "
            f"{_name(found, species)} and {own or 'none'} {bear}."
        )


def _prototypes(found: Suspects, row: int, species: int) -> Iterator[str]:
    own, other = found.judged.similar[row]
    best = found.judged.candidates[row, 0]
    if best == species and np.isfinite(own) and other > own:
        yield f"It is nearer to the mean of {_name(found, species)} ({other:.2f}, not {own:.2f})."


def _rank(found: Suspects, row: int) -> Iterator[str]:
    disagreement = found.disagreement(row)
    proposed = found.proposals(row)
    if proposed and disagreement in ("genus", "family"):
        taxon = found.names.taxa[proposed[0][0]].at_rank(disagreement)
        own = found.names.name_at(disagreement, int(found.names.at(disagreement)[row]))
        yield f"{_subject(found, row)} another {disagreement}: {taxon}, not {own}."
    if found.judged.rank[row] == NO_RANK:
        return
    rank = RANKS[found.judged.rank[row]]
    if rank != "species" and found.names.species[row] != UNNAMED:
        below = "species" if rank == "genus" else "genus"
        yield f"No other gathering of its {below} is here, so it is judged by its {rank}."
    elif rank != "species":
        yield f"Its name stops above species, so it is judged by its {rank}."


def _subject(found: Suspects, row: int) -> str:
    """Begins a sentence about what is proposed, by its name if others were named before."""
    proposed, likeliest = found.proposals(row)[0], found.likeliest(row)[:1]
    spoken_of = bool(likeliest) and likeliest[0][0] == proposed[0]
    if spoken_of and not found.judged.own[row] >= proposed[1]:
        return "That is"
    return f"{_name(found, proposed[0])} is of"


def _determination(found: Suspects, row: int) -> Iterator[str]:
    if found.names.qualifier[row]:
        yield f"Whoever named it was in doubt ({found.names.qualifier[row]})."
    if DATED in found.records:
        year = parse_date(found.records[DATED][row])[:4]
        if re.fullmatch(r"\d{4}", year) and datetime.now(UTC).year - int(year) >= OLD:
            yield f"The determination is old: it was made in {year}."


def _share(probability: float) -> str:
    if probability < _HARDLY:
        return "less than 0.01"
    return f"{min(probability, 0.99):.2f}"
