"""How rarely a known specimen scores as high as this: conformal p-values.

A specimen's p-value is the share of known specimens, of those that the score was not fitted on,
that are at least as strange. If it is drawn as these were, its p-value is at most `a` with a
probability of at most `a`, whatever the score and however few they are (Vovk, Gammerman and Shafer
2005, "Algorithmic learning in a random world"). Images of one gathering share the weight of one
specimen, which keeps that exact for an image of a new gathering (Lee, Barber and Willett 2023,
arXiv:2306.06342). Where the known specimens take turns in being held out, each is compared with the
scores of its own turn (cross-conformal prediction: Vovk 2015, doi:10.1007/s10472-013-9368-4); the
probability is then close to `a`, but that is measured, not proved. The proofs of a bound of twice
`a` ask that nothing is chosen with the specimens held out; the rehearsal has seen them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HeldScores:
    """Scores of known specimens in the turns in which they were held out; `M` of them."""

    scores: np.ndarray
    """`[M]`."""
    turn: np.ndarray
    """`[M]`, from 0."""
    gathering: np.ndarray
    """`[M]`; all images of a gathering together count as one specimen."""
    domain: np.ndarray
    """`[M]`, `basisOfRecord`."""

    def specimens(self, domain: str | None = None) -> int:
        """Returns how many gatherings there are, in all or of a domain."""
        return len(np.unique(self.gathering[self._of(domain)]))

    def domains(self, least: int) -> list[str]:
        """Returns the domains with at least so many gatherings."""
        found = np.unique(self.domain).tolist()
        return [domain for domain in found if self.specimens(domain) >= least]

    def p_values(self, scores: np.ndarray, domain: str | None = None) -> np.ndarray:
        """Returns the p-values of rows.

        Args:
            scores: `[B, turns]`, of each row in each turn.
            domain: compare with known specimens of this one only.

        Returns:
            `[B]`, above 0 and at most 1.
        """
        chosen = np.flatnonzero(self._of(domain))
        place, sizes = np.unique(self.gathering[chosen], return_inverse=True, return_counts=True)[
            1:
        ]
        weights = 1 / sizes[place]
        above = np.zeros(len(scores))
        for turn in np.unique(self.turn[chosen]).tolist():
            own = self.turn[chosen] == turn
            above += _weight_at_least(self.scores[chosen][own], weights[own], scores[:, turn])
        return np.minimum(1.0, (above + 1) / (len(sizes) + 1))

    def _of(self, domain: str | None) -> np.ndarray:
        return np.ones(len(self.scores), dtype=bool) if domain is None else self.domain == domain


def least_specimens(rate: float) -> int:
    """Returns how many held specimens it takes to promise a rate of false alarms."""
    return int(np.ceil(1 / rate - 1e-9)) - 1


def p_values_by_domain(
    held: HeldScores, scores: np.ndarray, domain: Sequence[str] | np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the p-values of rows among known specimens of their own domain.

    A row whose domain is not stated gets the highest of those of all domains: it may be of any. The
    promise holds for it if there are enough known specimens of each domain that they have.

    Args:
        held: scores of known specimens.
        scores: `[B, turns]`.
        domain: `[B]`, `basisOfRecord`.
        rate: of false alarms that is to be promised.

    Returns:
        p-values `[B]`, and whether the promise holds for each row, `[B]`; where the known specimens
        of a domain are too few, rows are compared with all, and nothing is promised.
    """
    given = np.asarray(domain, dtype=str)
    enough = held.domains(least_specimens(rate))
    found = held.p_values(scores)
    promised = np.isin(given, enough)
    for name in enough:
        rows = given == name
        found[rows] = held.p_values(scores[rows], name)
    blank = given == ""
    if enough and "" not in enough and blank.any():
        found[blank] = np.max([held.p_values(scores[blank], name) for name in enough], axis=0)
        promised[blank] = set(enough) == set(np.unique(held.domain).tolist())
    return found, promised


def _weight_at_least(known: np.ndarray, weights: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the weight of the known scores that are at least as high as each of others."""
    order = np.argsort(known)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    return below[-1] - below[np.searchsorted(known[order], scores, side="left")]
