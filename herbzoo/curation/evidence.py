"""Near sheets of doubtful rows: of the present name, and of those that they may bear instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from herbzoo.curation.case_files import NEAR, NEAR_OTHERS, PROPOSALS
from herbzoo.curation.conflicts import Conflict
from herbzoo.curation.fold_view import FoldView
from herbzoo.curation.judging import Judgements
from herbzoo.curation.named_rows import UNNAMED, NamedRows
from herbzoo.curation.ranking import ranked
from herbzoo.curation.slips import Slips

LEAST = 200
"""Rows of a fold to look up at the least: not all folds have equally many doubtful names."""
Near = tuple[tuple[int, float], ...]
"""Rows and their cosines, the nearest first."""


class Evidence:
    """Near sheets, looked up while each fold is in memory.

    Args:
        names: of the rows.
        most: rows that will be shown; as many of each fold are looked up, and all rows of
            conflicts besides.
        conflicts: duplicates under different names; the other one's sheets count as nearest.
    """

    def __init__(self, names: NamedRows, most: int, conflicts: Sequence[Conflict]) -> None:
        self._names, self._most = names, max(most, LEAST)
        self._conflicts = {row: one for one in conflicts for row in one.rows}
        self._present: dict[int, Near] = {}
        self._proposed: dict[tuple[int, int], Near] = {}

    def present(self, row: int) -> Near:
        """Returns the nearest other sheets of a row's present name.

        Where it is the only one, they are of its genus, or else of its family.
        """
        return self._present.get(row, ())

    def proposed(self, row: int, species: int) -> Near:
        """Returns the sheets of a species that are nearest to a row, its duplicates first."""
        return self._proposed.get((row, species), ())

    def look(self, view: FoldView, rows: np.ndarray, judged: Judgements) -> None:
        """Looks up the near sheets of the most doubtful rows of a fold."""
        likelihoods = judged.likelihoods[rows]
        slips = Slips.fit(likelihoods[judged.rank[rows] == 0])  # those of all folds come later
        doubtful = ranked(judged, self._names, rows, slips.suspicion(likelihoods))[: self._most]
        in_conflict = [row for row in rows.tolist() if row in self._conflicts]
        for row in dict.fromkeys([*doubtful.tolist(), *in_conflict]):
            self._look_at(view, row, judged)

    def _look_at(self, view: FoldView, row: int, judged: Judgements) -> None:
        look = view.look(row)
        own = int(self._names.species[row])
        if near := view.nearest_of(look, own, NEAR):
            self._present[row] = tuple(near)
        for rank in ("genus", "family"):
            taxon = self._names.at(rank)[row]
            if taxon == UNNAMED or row in self._present:
                continue
            if near := view.nearest_among(look, self._names.at(rank) == taxon, NEAR):
                self._present[row] = tuple(near)
        candidates = [*judged.candidates[row].tolist(), *self._other_names(row, judged)]
        others = [one for one in dict.fromkeys(candidates) if one not in (own, UNNAMED)]
        for place, species in enumerate(others):
            most = NEAR if place == 0 else NEAR_OTHERS
            near = self._duplicates_named(view, look, row, species)
            near += view.nearest_of(look, species, most)
            self._proposed[row, species] = tuple(near[:most])

    def _other_names(self, row: int, judged: Judgements) -> list[int]:
        """Returns the species that duplicates of a row are named as, as many as are shown."""
        if row not in self._conflicts:
            return []
        own = self._names.species[row]
        others = [one for one in self._conflicts[row].names(self._names) if one != own]
        return sorted(others, key=lambda one: -judged.probability(row, one))[:PROPOSALS]

    def _duplicates_named(
        self, view: FoldView, look: Tensor, row: int, species: int
    ) -> list[tuple[int, float]]:
        if row not in self._conflicts:
            return []
        rows = np.array(self._conflicts[row].rows)
        same = rows[(rows != row) & (self._names.species[rows] == species)]
        if not len(same):
            return []
        return list(zip(same.tolist(), view.cosines(look, same).tolist(), strict=True))
