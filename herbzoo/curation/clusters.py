"""Groups of unknown images: what may be one new species, and what is known of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase

import numpy as np

from herbzoo.curation.linkage import place
from herbzoo.curation.novelty import NO_GROUP, Novelty
from herbzoo.curation.novelty_scores import BLOCK
from herbzoo.evaluation.retrieval import unit_vectors

NEAREST = 3
"""Known species that are named beside a group."""
_AGREED = 0.5
"""Share of a group's images that must agree in a taxon for it to be the group's."""


@dataclass(frozen=True)
class Cluster:
    """A group of unknown images."""

    name: str
    """`sp. A` is the largest."""
    rows: tuple[int, ...]
    """The most typical one first."""
    nearest: tuple[tuple[int, float], ...]
    """Known species and their similarity, the nearest first."""
    rank: str
    """Deepest rank at which it is still sure; '' for none."""
    taxon: str
    probability: float
    """Mean over the images that are sure of the taxon."""


class KnownPlaces:
    """Where known images lie, for finding those near to an unknown one.

    Args:
        found: the known images and their space.
    """

    def __init__(self, found: Novelty) -> None:
        self._space, self._known = found.space, found.known
        self._of_species: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def near(self, at: np.ndarray, species: int, most: int) -> list[tuple[int, float]]:
        """Returns the known images of a species that are nearest to a place, and how near.

        Args:
            at: `[D]`, of `place`.
            species: position among the known taxa.
            most: images to return.
        """
        rows, places = self._places(species)
        likeness = places @ at
        best = np.argsort(-likeness, kind="stable")[:most]
        return [(int(rows[one]), float(likeness[one])) for one in best]

    @cached_property
    def means(self) -> np.ndarray:
        """The mean place of each known species, of length 1, `[T, D]`."""
        known, features = self._known, self._known.features
        total: np.ndarray | None = None
        for start in range(0, len(known), BLOCK):
            some = slice(start, start + BLOCK)
            places = place(self._space, features[some]).astype(np.float64)
            if total is None:
                total = np.zeros((len(known.taxa), places.shape[1]))
            np.add.at(total, known.species[some], places)
        return unit_vectors(total if total is not None else np.empty((0, 1)))

    def _places(self, species: int) -> tuple[np.ndarray, np.ndarray]:
        if species not in self._of_species:
            rows = np.flatnonzero(self._known.species == species)
            self._of_species[species] = rows, place(self._space, self._known.features[rows])
        return self._of_species[species]


def clusters_of(found: Novelty, known: KnownPlaces) -> list[Cluster]:
    """Describes the groups of unknown images, the largest first."""
    clusters = []
    listed = np.flatnonzero(found.group != NO_GROUP)
    listed = listed[np.argsort(found.group[listed], kind="stable")]
    ends = np.flatnonzero(np.diff(found.group[listed])) + 1
    for number, rows in enumerate(np.split(listed, ends) if len(listed) else ()):
        places = place(found.space, found.rows.values[rows]).astype(np.float64)
        mean = places.mean(0)
        order = np.argsort(-(places @ mean), kind="stable")
        likeness = known.means @ unit_vectors(mean[None])[0]
        nearest = np.argsort(-likeness, kind="stable")[:NEAREST]
        clusters.append(
            Cluster(
                f"sp. {_letters(number)}",
                tuple(rows[order].tolist()),
                tuple((int(one), float(likeness[one])) for one in nearest),
                *_sure_taxon(found, rows),
            )
        )
    return clusters


def _sure_taxon(found: Novelty, rows: np.ndarray) -> tuple[str, str, float]:
    """Returns the deepest rank and taxon that half of the images or more are sure of."""
    answers = [found.sure_rank(row) for row in rows.tolist()]
    for rank in found.higher:
        counts = Counter(taxon for at, taxon, _ in answers if at == rank)
        if not counts:
            continue
        taxon, count = counts.most_common(1)[0]
        if count >= _AGREED * len(rows):
            return rank, taxon, float(np.mean([p for at, one, p in answers if one == taxon]))
    return "", "", 0.0


def _letters(number: int) -> str:
    """Returns A to Z, then AA, AB and so on."""
    found = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, len(ascii_uppercase))
        found = ascii_uppercase[rest] + found
    return found
