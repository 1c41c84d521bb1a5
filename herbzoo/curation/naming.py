"""How well present names go with what sheets look like, at the rank at which that can be said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from herbzoo.curation.named_rows import UNNAMED, NamedRows
from herbzoo.curation.slips import KINDS, name_likelihoods
from herbzoo.taxonomy import RANKS

NO_RANK = -1


@dataclass(frozen=True)
class NameEvidence:
    """What is known of the names of `B` rows."""

    rank: np.ndarray
    """`[B]`, the position in `RANKS` at which each is judged: the deepest at which other folds
    have its taxon; `NO_RANK` where they have none."""
    own: np.ndarray
    """`[B]`, probability of the present taxon at that rank; NaN where there is none."""
    other: np.ndarray
    """`[B]`, that of the likeliest other taxon."""
    likelihoods: np.ndarray
    """`[B, 4]`, see `name_likelihoods`."""


class Naming:
    """Compares probabilities of species with the names of rows.

    Args:
        names: of all rows.
    """

    def __init__(self, names: NamedRows) -> None:
        self._names = names
        self._members = {rank: _members(names, rank) for rank in RANKS}

    def __call__(
        self, rows: np.ndarray, probabilities: np.ndarray, known: np.ndarray
    ) -> NameEvidence:
        """Returns what probabilities say of the names of some rows.

        Args:
            rows: `[B]`.
            probabilities: of all species, `[B, C]`.
            known: which species the other folds have, `[C]`.
        """
        found = NameEvidence(
            np.full(len(rows), NO_RANK),
            np.full(len(rows), np.nan),
            np.full(len(rows), np.nan),
            np.full((len(rows), len(KINDS)), np.nan),
        )
        at = [self._at(rank, rows, probabilities, known) for rank in RANKS]
        for position in reversed(range(len(RANKS))):  # deeper ranks overwrite
            own, other, _, there = at[position]
            found.rank[there] = position
            found.own[there] = own[there]
            found.other[there] = other[there]
            shares = [at[max(place, position)][0] for place in range(len(RANKS))]
            members = [at[max(place, position)][2] for place in range(len(RANKS))]
            found.likelihoods[there] = self._likelihoods(shares, members)[there]
        return found

    def _at(
        self, rank: str, rows: np.ndarray, probabilities: np.ndarray, known: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns what can be said at a rank.

        Returns:
            Of each row `[B]`: the probability of the present taxon, that of the likeliest other
            one, how many species the present one has (0 if none is named), and whether other folds
            have any of these.
        """
        pools, sizes = self._names.pools(rank), self._members[rank]
        summed = _summed(probabilities, pools, len(sizes))
        own = self._names.at(rank)[rows]
        named, places = own != UNNAMED, np.arange(len(rows))
        share = np.where(named, summed[places, own], 0.0)
        summed[places[named], own[named]] = 0.0
        present = np.bincount(pools[known & (pools != UNNAMED)], minlength=len(sizes)) > 0
        members = np.where(named, sizes[own], 0)
        return share, summed.max(axis=1), members, named & present[own]

    def _likelihoods(self, shares: list[np.ndarray], members: list[np.ndarray]) -> np.ndarray:
        """Says how names may have come about; a slip below the first rank shows nothing."""
        own, few = [shares[0]], [members[0]]
        for share, many in zip(shares[1:], members[1:], strict=True):
            # Where genus or family is not known, a slip out of the taxon below leads anywhere.
            own.append(np.where(many > 0, share, own[-1]))
            few.append(np.where(many > 0, many, few[-1]))
        everything = np.full(len(own[0]), len(self._names.taxa))
        return name_likelihoods([*own, np.ones(len(own[0]))], [*few, everything])


def _members(names: NamedRows, rank: str) -> np.ndarray:
    """Returns how many species each taxon of a rank has; rows may name taxa of none."""
    pools = names.pools(rank)
    count = int(max(names.at(rank).max(initial=0), pools.max(initial=0))) + 1
    return np.bincount(pools[pools != UNNAMED], minlength=count)


def _summed(probabilities: np.ndarray, pools: np.ndarray, count: int) -> np.ndarray:
    """Sums species `[B, C]` to `count` pools `[B, P]`; those of no pool are left out."""
    known = np.flatnonzero(pools != UNNAMED)
    order = known[np.argsort(pools[known], kind="stable")]
    summed = np.zeros((len(probabilities), count))
    if len(order):
        numbers, starts = np.unique(pools[order], return_index=True)
        summed[:, numbers] = np.add.reduceat(probabilities[:, order], starts, axis=1)
    return summed
