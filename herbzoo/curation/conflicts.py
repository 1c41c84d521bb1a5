"""Duplicates under different names: of several names for one gathering, at most one is right.

Duplicates are found by their records, as for splits (`herbzoo.data.gatherings`), and by their
images: one picture that is in the collection twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from herbzoo.curation.judging import Judgements
from herbzoo.curation.named_rows import UNNAMED, NamedRows
from herbzoo.data.duplicates import close_groups, near_duplicate_embeddings
from herbzoo.data.image_hashes import image_hashes
from herbzoo.data.joins import groups_of
from herbzoo.data.records import Collection
from herbzoo.image_batches import AUTO

RECORDS, IMAGES = "records", "images"
LIKE = 0.9
"""Cosine of features from which on two pictures under different names are looked at closely."""
_DIGITS = 9
"""So that each of two names that are equally likely gets one half, and no hair's breadth less."""
MOST_PICTURES = 20_000
"""Pictures that are looked at closely at the most; if there are more, likeness means nothing."""


@dataclass(frozen=True)
class Conflict:
    """Rows of one gathering, or of one picture, whose names contradict one another."""

    rows: tuple[int, ...]
    """All of it, in order."""
    found_by: str
    """`records` or `images`."""

    def names(self, names: NamedRows) -> tuple[int, ...]:
        """Returns the species that its rows are named as, the most frequent first."""
        species = names.species[list(self.rows)]
        each, first, counts = np.unique(
            species[species != UNNAMED], return_index=True, return_counts=True
        )
        return tuple(int(one) for one in each[np.lexsort((first, -counts))])


def record_conflicts(gatherings: np.ndarray, names: NamedRows) -> list[Conflict]:
    """Finds gatherings under several names.

    Args:
        gatherings: a number for each row, `[N]`, as `herbzoo.data.gatherings` gives.
        names: of the rows.
    """
    return _contradicting([*groups_of(gatherings)], names, RECORDS)


def image_conflicts(
    collection: Collection, values: np.ndarray, names: NamedRows, workers: int = AUTO
) -> list[Conflict]:
    """Finds pictures that are there twice, under several names.

    Only pictures that look alike to the backbone are compared closely, by perceptual hash.

    Args:
        collection: of the rows.
        values: features `[N, F]`.
        names: of the rows.
        workers: processes that decode; 0 is none, `AUTO` (-1) chooses.
    """
    alike = _contradicting(near_duplicate_embeddings(values, LIKE), names, IMAGES)
    rows = np.unique([row for conflict in alike for row in conflict.rows]).astype(np.int64)
    if not 1 < len(rows) <= MOST_PICTURES:
        return []
    close = close_groups(image_hashes(collection.select(rows), workers=workers))
    groups = [tuple(int(row) for row in rows[list(group)]) for group in close]
    return _contradicting(groups, names, IMAGES)


def _contradicting(
    groups: Sequence[tuple[int, ...]], names: NamedRows, found_by: str
) -> list[Conflict]:
    return [
        Conflict(tuple(sorted(group)), found_by) for group in groups if contradict(names, group)
    ]


def contradict(names: NamedRows, rows: Sequence[int]) -> bool:
    """Tells whether the names of some rows differ, at a rank down to which several go."""
    numbers = (names.at(rank)[list(rows)] for rank in ("species", "genus"))
    return any(len(np.unique(some[some != UNNAMED])) > 1 for some in numbers)


def wrongness(conflict: Conflict, judged: Judgements, names: NamedRows) -> dict[int, float]:
    """Returns for each row of a conflict the probability that its name is wrong.

    One of the names is taken to be right, each as likely as the other but for what the sheets of
    the gathering look like on average: they show one plant, and are no independent witnesses. Rows
    without a name at the rank of species are left out.
    """
    rows, species = conflict.rows, conflict.names(names)
    if len(species) < 2:
        return {}
    logs = np.array(
        [np.mean([np.log(judged.probability(row, one)) for row in rows]) for one in species]
    )
    right = np.exp(logs - np.logaddexp.reduce(logs))
    of_species = dict(zip(species, right.tolist(), strict=True))
    return {
        row: round(1 - of_species[int(names.species[row])], _DIGITS)
        for row in rows
        if names.species[row] != UNNAMED
    }
