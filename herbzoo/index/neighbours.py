"""Identification by the sheets that look alike: a species is known as soon as it has a few sheets.

The votes of all near sheets would let a species with a hundred of them win over one with three.
Here a species is as near as its own best few sheets: the mean over its `OF_EACH` nearest, as in
the local mean rule (Mitani and Hamamoto 2006, Pattern Recognition Letters 27:1151-1159), of the
weights exp(similarity / temperature) that neighbours have in "Unsupervised feature learning via
non-parametric instance discrimination" (Wu et al. 2018, CVPR, section 3.4). These are shared out
to sum to 1 over the species found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.records import SpecimenRecord
from herbzoo.errors import HerbzooError
from herbzoo.identification import Candidate
from herbzoo.index.filters import narrowed, quoted
from herbzoo.taxonomy import RANKS

if TYPE_CHECKING:
    from herbzoo.index.match import Match
    from herbzoo.index.specimen_index import SpecimenIndex

OF_EACH = 3
"""Sheets of a species that speak for it."""
TEMPERATURE = 0.07
"""Of the weights; that of Wu et al. 2018."""
LOOKED_AT = 100
"""Nearest sheets that are fetched at a time."""
MOST_ROUNDS = 8
"""Times that further sheets are fetched, without the taxa found, until there are enough taxa."""
_COLUMN = {"species": "scientificName", "genus": "genus", "family": "family"}


@dataclass(frozen=True)
class _Species:
    """A species among the neighbours."""

    record: SpecimenRecord
    """Its nearest sheet."""
    similarities: tuple[float, ...]
    """Of the sheets found, the nearest first."""


class NeighbourRanking:
    """Names what embeddings show by the index's sheets that are nearest to them.

    Args:
        index: whose sheets to look at.
        rank: `species`, `genus` or `family`; the weights of species are summed to it.
        top_k: the most candidates to return.
        where: a filter on the sheets.
        of_each: sheets of a species that speak for it; of one that has fewer, all.
        temperature: of the weights; the lower, the surer.

    Raises:
        HerbzooError: if there is no such rank, the filter cannot be read, or no sheet that it
            leaves has a name at the rank.
    """

    def __init__(
        self,
        index: SpecimenIndex,
        rank: str = "species",
        top_k: int = 5,
        where: str = "",
        *,
        of_each: int = OF_EACH,
        temperature: float = TEMPERATURE,
    ) -> None:
        if rank not in RANKS:
            raise HerbzooError(f"there is no rank {rank!r}; there are {', '.join(RANKS)}")
        if top_k < 1:
            raise HerbzooError(f"top_k is the number of candidates, at least 1, not {top_k}")
        self.index = index
        self.rank = rank
        self._of_each = of_each
        self._temperature = temperature
        named = "scientificName is not blank"
        ranked = "" if rank == "species" else f"{_COLUMN[rank]} is not blank"
        self._where = narrowed(where, named, ranked)
        self._sheets = index.counts("scientificName", self._where)
        taxa = index.counts(_COLUMN[rank], self._where)
        if not taxa:
            among = f" among those with {where}" if where.strip() else ""
            raise HerbzooError(f"no sheet of {index.where} has a name at the rank {rank}{among}")
        self.length = min(top_k, len(taxa))
        """Number of candidates that every answer has."""

    def __call__(self, vectors: np.ndarray) -> list[tuple[Candidate, ...]]:
        """Returns the candidates for each of some embeddings `[N, D]`, best first.

        Scores are between 0 and 1, and no probabilities of being right.
        """
        asked = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        first = self.index.search(asked, LOOKED_AT, self._where)
        return [
            self._candidates(self._enough(vector, matches))
            for vector, matches in zip(asked, first, strict=True)
        ]

    def _enough(self, vector: np.ndarray, matches: Sequence[Match]) -> list[Match]:
        """Looks further, past the taxa found, until there are as many as are to be returned."""
        found = list(matches)
        for _ in range(MOST_ROUNDS):
            taxa = {_taxon(match.record, self.rank) for match in found}
            if len(taxa) >= self.length:
                break
            names = ", ".join(map(quoted, taxa))
            others = narrowed(self._where, f"{_COLUMN[self.rank]} not in ({names})")
            found += self.index.search(vector, LOOKED_AT, others)[0]
        return found

    def _candidates(self, matches: Sequence[Match]) -> tuple[Candidate, ...]:
        farthest = min(match.similarity for match in matches)
        species = _by_species(matches)
        weights = [self._weight(one, farthest) for one in species]
        total = math.fsum(weights)
        best: dict[str, float] = {}
        records: dict[str, SpecimenRecord] = {}
        for one, weight in sorted(
            zip(species, weights, strict=True), key=lambda pair: (-pair[1], pair[0].record.image)
        ):
            name = _taxon(one.record, self.rank)
            best[name] = best.get(name, 0.0) + weight / total
            records.setdefault(name, one.record)
        order = sorted(best, key=lambda name: -best[name])[: self.length]
        return tuple(_candidate(records[name], self.rank, best[name]) for name in order)

    def _weight(self, species: _Species, farthest: float) -> float:
        """Returns the mean weight of a species' nearest sheets.

        Sheets of it that were not among those fetched count as near as the farthest fetched: left
        out, a species with one near sheet among many far ones would pass for a near one.
        """
        counted = min(self._of_each, self._sheets.get(species.record.scientificName, 1))
        nearest = list(species.similarities[:counted])
        nearest += [farthest] * (counted - len(nearest))
        # From 1 down, so that no exponential overflows.
        return sum(math.exp((s - 1) / self._temperature) for s in nearest) / len(nearest)


def _by_species(matches: Sequence[Match]) -> list[_Species]:
    grouped: dict[str, list[Match]] = {}
    for match in matches:
        grouped.setdefault(match.record.scientificName, []).append(match)
    found = []
    for own in grouped.values():
        own.sort(key=lambda match: -match.similarity)
        found.append(_Species(own[0].record, tuple(match.similarity for match in own)))
    return found


def _taxon(record: SpecimenRecord, rank: str) -> str:
    return getattr(record, _COLUMN[rank])


def _candidate(record: SpecimenRecord, rank: str, score: float) -> Candidate:
    name = _taxon(record, rank)
    if rank == "species":
        return Candidate(
            name,
            record.scientificNameAuthorship,
            record.genus,
            record.family,
            record.taxonID,
            rank,
            score,
        )
    return Candidate(name, "", name if rank == "genus" else "", record.family, "", rank, score)
