"""Which names are doubtful, how doubtful each is, and what speaks for another one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from herbzoo.curation.conflicts import (
    IMAGES,
    Conflict,
    image_conflicts,
    record_conflicts,
    wrongness,
)
from herbzoo.curation.evidence import Evidence
from herbzoo.curation.features import Features
from herbzoo.curation.folds import gathering_folds
from herbzoo.curation.judging import Judgements, Judging
from herbzoo.curation.named_rows import NamedRows, named_rows
from herbzoo.curation.ranking import differing_rank, likeliest_other, ranked
from herbzoo.curation.slips import Slips
from herbzoo.data.gatherings import GATHERING, gatherings
from herbzoo.data.joins import Join, connected, join_groups
from herbzoo.data.records import COLUMNS, FIELD, Collection, SpecimenRecord
from herbzoo.image_batches import AUTO
from herbzoo.taxonomy import Taxonomy
from herbzoo.text_cache import Bar, no_bar


@dataclass(frozen=True)
class Suspects:
    """What was found among `N` rows of a collection."""

    collection: Collection
    """The rows that could be judged or compared with."""
    names: NamedRows
    judged: Judgements
    suspicion: np.ndarray
    """`[N]`, from 0 to 1: how likely the present name is wrong; NaN where it cannot be judged."""
    conflicts: tuple[Conflict, ...]
    evidence: Evidence
    slips: Slips
    """How names go wrong in this collection."""
    order: np.ndarray
    """The rows that could be judged, the most suspicious first."""

    @cached_property
    def conflict_of(self) -> dict[int, Conflict]:
        """The conflict of each row that is in one."""
        return {row: conflict for conflict in self.conflicts for row in conflict.rows}

    @cached_property
    def records(self) -> dict[str, list[str]]:
        """Every column of the collection, as a list of texts."""
        frame = self.collection.frame
        return {str(name): frame[name].astype(str).tolist() for name in frame}

    def record(self, row: int) -> SpecimenRecord:
        """Returns the record of a row."""
        return SpecimenRecord(*(self.records[name][row] for name in COLUMNS))

    def likeliest(self, row: int) -> list[tuple[int, float]]:
        """Returns the species that a row looks most like, but for its present one, with scores."""
        return likeliest_other(self.judged, self.names, row)

    def proposals(self, row: int) -> list[tuple[int, float]]:
        """Returns what else a row may be, best first; first what its duplicates are named as."""
        likeliest = self.likeliest(row)
        conflict = self.conflict_of.get(row)
        if conflict is None:
            return likeliest
        own = int(self.names.species[row])
        others = [one for one in conflict.names(self.names) if one != own]
        scores = {one: self.judged.probability(row, one) for one in others}
        first = sorted(scores.items(), key=lambda item: -item[1])
        return first + [item for item in likeliest if item[0] not in scores]

    def disagreement(self, row: int) -> str:
        """Returns the highest rank at which the first proposal differs from the present name.

        '' where there is no proposal, or only one that is more precise.
        """
        proposed = self.proposals(row)[:1]
        return differing_rank(self.names, row, proposed[0][0]) if proposed else ""


def find_suspects(
    features: Features,
    *,
    accepted: Collection | None = None,
    known: Taxonomy | None = None,
    folds: int = 0,
    most: int = 200,
    seed: int = 0,
    workers: int = AUTO,
    progress: Bar = no_bar,
    scratch: Path | None = None,
) -> Suspects:
    """Judges each name by all sheets of other gatherings, and ranks those in doubt.

    Args:
        features: of the rows in question; each has a name.
        accepted: the same rows under accepted names, so that a synonym is no error.
        known: the taxonomy of a model, for families and synonyms.
        folds: into which gatherings are dealt; 0 chooses.
        most: the number of rows that will be looked at; near sheets are kept for these.
        seed: of the folds.
        workers: processes that decode pictures that are looked at closely.
        progress: opens a bar over the rows.
        scratch: folder for a temporary file, of two bytes a row and species; the system's place if
            not given.

    Raises:
        DataError: if there is nothing to compare with, such as one species or one gathering only.
    """
    collection, values = features.collection, features.values
    names = named_rows(_same_rows(accepted, collection), known)
    gathering = gatherings(collection.frame)
    conflicts = record_conflicts(gathering, names)
    told = {row for conflict in conflicts for row in conflict.rows}
    by_image = image_conflicts(collection, values, names, workers)
    conflicts += [one for one in by_image if not told.intersection(one.rows)]
    evidence = Evidence(names, most, conflicts)
    # Pictures that are there twice must not vouch for one another either.
    together = Join(GATHERING, np.arange(len(gathering)), gathering)
    pictures = join_groups(IMAGES, [conflict.rows for conflict in by_image])
    gathering = connected([together, pictures], len(gathering))
    judging = Judging(
        values,
        names,
        gathering_folds(gathering, names.species, folds, seed),
        (collection.frame["basisOfRecord"] == FIELD).to_numpy(),
    )
    judged = judging.run(evidence.look, progress=progress, scratch=scratch)
    slips = Slips.fit(judged.likelihoods[judged.rank == 0])
    suspicion = slips.suspicion(judged.likelihoods)
    for conflict in conflicts:
        for row, share in wrongness(conflict, judged, names).items():
            suspicion[row] = np.fmax(suspicion[row], share)
    rows = np.flatnonzero(np.isfinite(suspicion))
    order = ranked(judged, names, rows, suspicion[rows])
    return Suspects(collection, names, judged, suspicion, tuple(conflicts), evidence, slips, order)


def _same_rows(accepted: Collection | None, collection: Collection) -> Collection:
    """Returns the rows of a collection that could be read, under their accepted names."""
    if accepted is None or len(accepted) == len(collection):
        return accepted or collection
    return accepted.select(accepted.frame["image"].isin(set(collection.frame["image"])))
