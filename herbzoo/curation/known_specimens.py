"""Specimens of the species that a model knows: what novelty is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from herbzoo.curation.features import Features
from herbzoo.curation.folds import gathering_folds
from herbzoo.curation.named_rows import UNNAMED, named_rows
from herbzoo.data.gatherings import gatherings
from herbzoo.data.joins import join_groups
from herbzoo.data.records import FIELD
from herbzoo.errors import DataError
from herbzoo.evaluation.retrieval import unit_vectors
from herbzoo.taxonomy import Taxon, Taxonomy

FOLDS = 5
MANY = 20_000
"""Known images from which on one fold is enough to measure what known species score."""
SAME_LEAF = 0.65
"""Cosine of two images' features, less the mean of their species and domain, from which they are
taken for exposures of one leaf. Of 1,728 pressed leaves of LeafSnap it makes 1,383 groups."""
MOST_COMPARED = 4_000
"""Images of a species that are compared with one another; of more, the records alone decide."""


@dataclass(frozen=True)
class Part:
    """Known images in two: those that scores are fitted on, and those that they are tried on."""

    fit: np.ndarray
    """Rows, ascending."""
    held: np.ndarray
    """Rows of species that are among the first, ascending."""


@dataclass(frozen=True)
class Known:
    """The known images; `N` of them."""

    frame: pd.DataFrame
    """Their records, `N` rows."""
    features: np.ndarray
    """`[N, F]`, float32, of the backbone."""
    taxa: tuple[Taxon, ...]
    """Their species; `T` of them, each with an image."""
    species: np.ndarray
    """`[N]`, positions in `taxa`."""
    gathering: np.ndarray
    """`[N]`, the same number for images that must not be divided."""
    held: np.ndarray
    """Whether an image was held out from the training of the backbone, `[N]`. Where none was, or
    where the backbone was not trained, all false: parts are then made by gathering."""

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.species)

    @property
    def field(self) -> np.ndarray:
        """Whether each is a field photo, `[N]`."""
        return (self.frame["basisOfRecord"] == FIELD).to_numpy(dtype=bool)

    @property
    def domain(self) -> np.ndarray:
        """What each is, its `basisOfRecord`, `[N]`."""
        return self.frame["basisOfRecord"].to_numpy(dtype=str)

    def species_in(self, domain: str) -> np.ndarray:
        """Returns the species that have images of a domain, ascending."""
        return np.unique(self.species[self.domain == domain])

    @property
    def learnable(self) -> np.ndarray:
        """Rows that the model may be fitted on."""
        return np.flatnonzero(~self.held)

    def parts(self, seed: int = 0) -> Iterator[Part]:
        """Yields parts in which every gathering is wholly on one side.

        There is one if rows were held out from the training, or if there are `MANY`, else `FOLDS`.
        """
        if self.held.any():
            part = self._part(self.held)
            if len(part.held):
                yield part
            return
        if len(np.unique(self.gathering)) < 2:
            return
        fold = gathering_folds(self.gathering, self.species, FOLDS, seed)
        for number in range(1 if len(self) > MANY else int(fold.max()) + 1):
            part = self._part(fold == number)
            if len(part.held):
                yield part

    def _part(self, held: np.ndarray) -> Part:
        there = np.isin(self.species, self.species[~held])
        # A training may have been given another exposure of a leaf that was held out from it.
        tied = np.isin(self.gathering, self.gathering[~held])
        return Part(np.flatnonzero(~held), np.flatnonzero(held & there & ~tied))


def known_specimens(
    features: Features, taxonomy: Taxonomy, held: np.ndarray | None = None
) -> Known:
    """Gathers the known specimens of a collection: those whose names are not in doubt.

    Args:
        features: of the collection.
        taxonomy: completes families, and says which names are synonyms of which.
        held: whether each row was held out from the training of the backbone, `[N]`.

    Raises:
        DataError: if no row has a name of a species.
    """
    collection = features.collection
    named = collection.frame["scientificName"] != ""
    if not named.any():
        raise DataError(f"{collection.name} names no species, so nothing in it is known")
    rows = np.flatnonzero(named.to_numpy())
    names = named_rows(collection.select(rows), taxonomy)
    sure = (names.species != UNNAMED) & ~names.doubtful
    if not sure.any():
        raise DataError(f"{collection.name} has no specimen whose name is sure and of a species")
    rows, species = rows[sure], names.species[sure]
    out = np.zeros(len(rows), dtype=bool) if held is None else held[rows]
    if held is not None and held.any():  # a species must be learned to be known
        there = np.isin(species, species[~out])
        rows, species, out = rows[there], species[there], out[there]
        if not out.any():
            raise DataError(
                "no image that was held out from the training is of a species that was learned and "
                "has a name that is sure, so nothing says how known species score: name other "
                "specimens of the known species with --known"
            )
    present, species = np.unique(species, return_inverse=True)
    values = features.values[rows]
    return Known(
        collection.frame.iloc[rows].reset_index(drop=True),
        values,
        tuple(names.taxa[place] for place in present),
        species,
        specimen_groups(collection.frame.iloc[rows].reset_index(drop=True), values, species),
        out,
    )


def specimen_groups(frame: pd.DataFrame, features: np.ndarray, species: np.ndarray) -> np.ndarray:
    """Returns a number for each row, the same for those of one gathering or one leaf.

    Several exposures of one leaf are often filed without a word that says so: their features tell.
    Every two of a group are alike, so that groups do not chain through a whole species.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    same: list[np.ndarray] = []
    own = pd.Series(species).groupby([species, frame["basisOfRecord"].to_numpy()]).indices
    for rows in own.values():
        if not 1 < len(rows) <= MOST_COMPARED:
            continue
        # What a species has in common says nothing: only what sets an image apart from the others.
        # Between vectors of length 1, the squared distance is twice what the cosine lacks of 1.
        tree = linkage(unit_vectors(features[rows] - features[rows].mean(0)), "complete")
        group = fcluster(tree, (2 * (1 - SAME_LEAF)) ** 0.5, "distance")
        same += [rows[group == one] for one in np.unique(group)]
    pairs = [group.tolist() for group in same if len(group) > 1]
    return gatherings(frame, [join_groups("near-duplicate image", pairs)])
