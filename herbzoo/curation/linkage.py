"""Which images of unknown species are of one: they are grouped from the most alike on.

Two images are as alike as the mean of two cosines: along the directions that tell the known species
apart, and of all that the backbone sees. From which distance on groups are kept apart is learned on
known species that were left out.
"""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from herbzoo.curation.known_specimens import Known
from herbzoo.curation.novelty_scores import BLOCK, KnownSpace
from herbzoo.evaluation.retrieval import unit_vectors

LIMITS = tuple(round(0.3 + 0.025 * step, 3) for step in range(23))
"""Mean distances (1 less the cosine) up to which groups are joined that are tried."""
DEFAULT_LIMIT = 0.6
"""Where no species can be left out."""
MOST_LINKED = 4_000
"""Images that are linked with one another, the strangest; others join the nearest group."""
MOST_DRAWN = 1_500
"""Left-out images that are linked at a time."""
_MOST_OF_A_SPECIES = 30
_DRAWS = 8
"""Draws of left-out images a round: how many of each species there are matters much."""


def place(space: KnownSpace, features: np.ndarray) -> np.ndarray:
    """Returns where images lie: `[B, K + F]`, of length 1, their product being their likeness."""
    centred = features - space.discriminant.centre.numpy().astype(np.float32)
    both = np.hstack([unit_vectors(space.embed(features).numpy()), unit_vectors(centred)])
    return both / np.float32(2**0.5)


def grouped(places: np.ndarray, limit: float) -> np.ndarray:
    """Groups images by average linkage.

    Args:
        places: `[B, D]`, of `place`.
        limit: mean distance up to which two groups are joined.

    Returns:
        The group of each, `[B]`, from 0.
    """
    if len(places) < 2:
        return np.zeros(len(places), dtype=np.int64)
    some = places[:MOST_LINKED]
    groups = fcluster(_tree(some), limit, "distance") - 1
    if len(places) == len(some):
        return groups
    return np.concatenate([groups, _joined(places[len(some) :], some, groups, limit)])


def agreement(
    space: KnownSpace, known: Known, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Returns how well groups agree with the species of left-out images at each of `LIMITS`.

    Of each species some images are drawn, of one many and of another few, as it is in life.

    Returns:
        Adjusted Rand index (Hubert and Arabie 1985), `[L]`; NaN if all are of one species.
    """
    from sklearn.metrics import adjusted_rand_score

    own = [rows[known.species[rows] == one] for one in np.unique(known.species[rows])]
    if len(own) < 2:
        return np.full(len(LIMITS), np.nan)
    found = np.zeros(len(LIMITS))
    for _ in range(_DRAWS):
        sizes = rng.integers(1, _MOST_OF_A_SPECIES + 1, len(own))
        pairs = zip(own, sizes, strict=True)
        chosen = np.concatenate([rng.permutation(one)[:size] for one, size in pairs])
        some = rng.permutation(chosen)[:MOST_DRAWN]
        tree = _tree(place(space, known.features[some]))
        found += [
            adjusted_rand_score(known.species[some], fcluster(tree, limit, "distance"))
            for limit in LIMITS
        ]
    return found / _DRAWS


def best_limit(agreements: np.ndarray) -> float:
    """Returns the limit of the best mean agreement over rounds `[rounds, L]`."""
    told = agreements[~np.isnan(agreements).any(axis=1)]
    return DEFAULT_LIMIT if not len(told) else LIMITS[int(told.mean(0).argmax())]


def _tree(places: np.ndarray) -> np.ndarray:
    likeness = places @ places.T
    distance = (1 - likeness)[np.triu_indices(len(places), 1)]
    return linkage(np.maximum(distance, 0), "average")


def _joined(others: np.ndarray, linked: np.ndarray, groups: np.ndarray, limit: float) -> np.ndarray:
    """Puts images into the group they are nearest to on average, or alone."""
    count = int(groups.max()) + 1
    means = np.zeros((count, linked.shape[1]))
    np.add.at(means, groups, linked)
    means /= np.bincount(groups, minlength=count)[:, None]
    found = np.empty(len(others), dtype=np.int64)
    alone = np.empty(len(others), dtype=bool)
    for start in range(0, len(others), BLOCK):
        some = slice(start, start + BLOCK)
        likeness = others[some] @ means.T
        found[some], alone[some] = likeness.argmax(1), 1 - likeness.max(1) > limit
    found[alone] = count + np.arange(int(alone.sum()))
    return found
