"""How likely each name is wrong, given what the sheet looks like and how names go wrong here.

A name is right, or it is one of three kinds of slips: to another species of the genus, to one of
another genus of the family, or to one of another family, each name of the kind being as likely.
How often each happens in a collection is found by expectation maximisation (Dempster, Laird and
Rubin 1977, doi:10.1111/j.2517-6161.1977.tb01600.x) from all its sheets, and then the probability
that one name is wrong follows by Bayes' rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("right", "within the genus", "within the family", "elsewhere")
RARE = 0.002
"""Share of the names that is taken to be slips of each kind beforehand, however few are found: a
slip of a kind that was never seen is possible still."""
_ROUNDS = 500
_SETTLED = 1e-7


@dataclass(frozen=True)
class Slips:
    """How names go wrong in a collection."""

    shares: tuple[float, ...]
    """Of each of `KINDS`; they sum to 1."""

    @classmethod
    def fit(cls, likelihoods: np.ndarray) -> Slips:
        """Finds the shares from rows whose names were judged as species.

        Args:
            likelihoods: see `name_likelihoods`, `[N, 4]`.
        """
        shares = np.array([0.85, 0.05, 0.05, 0.05])
        before = RARE * len(likelihoods) * np.array([0.0, 1.0, 1.0, 1.0])
        for _ in range(_ROUNDS):
            counts = _responsible(likelihoods, shares).sum(axis=0) + before
            renewed = counts / counts.sum() if counts.sum() > 0 else shares
            moved, shares = np.abs(renewed - shares).max(), renewed
            if moved < _SETTLED:
                break
        return cls(tuple(float(share) for share in shares))

    @property
    def wrong(self) -> float:
        """Share of the names that are wrong."""
        return 1 - self.shares[0]

    def likelihood(self, likelihoods: np.ndarray) -> np.ndarray:
        """Returns how likely each name is, however it came about, `[N]`."""
        return likelihoods @ np.array(self.shares)

    def suspicion(self, likelihoods: np.ndarray) -> np.ndarray:
        """Returns the probability that each name is wrong, `[N]`; NaN where nothing is known."""
        known = np.isfinite(likelihoods).all(axis=1)
        found = np.full(len(likelihoods), np.nan)
        found[known] = _responsible(likelihoods[known], np.array(self.shares))[:, 1:].sum(axis=1)
        return found


def _responsible(likelihoods: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns how likely each kind is for each row, `[N, 4]`."""
    weighed = likelihoods * shares + np.finfo(np.float64).tiny
    return weighed / weighed.sum(axis=1, keepdims=True)


def name_likelihoods(own: list[np.ndarray], members: list[np.ndarray]) -> np.ndarray:
    """Returns how likely the present name would be given, was it right or a slip of each kind.

    Args:
        own: probability `[B]` of what a sheet looks like being the present name's species, its
            genus, its family, and anything at all (that is 1). Where no more than the genus can be
            judged, that stands for the species too.
        members: how many names there are in each of these, `[B]`.

    Returns:
        `[B, 4]`, in the order of `KINDS`. Which name a slip leads to is left to chance.
    """
    kinds = [own[0] / np.maximum(members[0], 1)]
    for inner, outer, few, many in zip(own[:-1], own[1:], members[:-1], members[1:], strict=True):
        others = np.maximum(many - few, 1)
        kinds.append(np.where(many > few, np.maximum(outer - inner, 0.0) / others, 0.0))
    return np.stack(kinds, axis=1)
