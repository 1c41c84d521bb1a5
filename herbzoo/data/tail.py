"""How unevenly the images of a collection are spread over its species."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BANDS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, 99), (100, None))
"""Fewest and most images of the species that are counted together."""
HEAD_SHARE = 0.2
"""Share of the species that are called most frequent."""


@dataclass(frozen=True)
class Band:
    """The species that have about equally many images."""

    fewest: int
    most: int | None
    species: int
    images: int

    @property
    def label(self) -> str:
        """Returns `1`, `2-4` or `100+`."""
        if self.most is None:
            return f"{self.fewest}+"
        return str(self.fewest) if self.fewest == self.most else f"{self.fewest}-{self.most}"


@dataclass(frozen=True)
class Tail:
    """The distribution of images over species."""

    bands: tuple[Band, ...]
    fewest: int
    median: float
    most: int
    head_species: int
    """The most frequent fifth of the species, rounded up."""
    head_share: float
    """Share of the images that are of those."""
    half_species: int
    """The fewest species that have half of the images together."""
    imbalance: float
    """Images of the most frequent species to those of the rarest: the imbalance factor of Cui et
    al. 2019, Class-balanced loss based on effective number of samples, section 4.1."""
    gini: float
    """0 where all species have equally many images, towards 1 where one has them all: the Gini
    coefficient of Damgaard and Weiner 2000, Ecology 81: 1139-1142, without their correction for
    small samples."""


def tail_of(counts: Sequence[int] | np.ndarray) -> Tail | None:
    """Describes images a species; species without any are not counted.

    Returns:
        The distribution, or None if there is no species with an image.
    """
    ascending = np.sort(np.asarray(counts, dtype=np.int64))
    ascending = ascending[ascending > 0]
    if not len(ascending):
        return None
    total, species = int(ascending.sum()), len(ascending)
    from_the_top = np.cumsum(ascending[::-1])
    head = math.ceil(HEAD_SHARE * species - 1e-9)
    rank = np.arange(1, species + 1)
    return Tail(
        bands=tuple(_band(ascending, fewest, most) for fewest, most in BANDS),
        fewest=int(ascending[0]),
        median=float(np.median(ascending)),
        most=int(ascending[-1]),
        head_species=head,
        head_share=float(from_the_top[head - 1] / total),
        half_species=int(np.searchsorted(from_the_top, total / 2)) + 1,
        imbalance=float(ascending[-1] / ascending[0]),
        gini=float(2 * (rank * ascending).sum() / (species * total) - (species + 1) / species),
    )


def _band(counts: np.ndarray, fewest: int, most: int | None) -> Band:
    inside = counts[(counts >= fewest) & (counts <= (most or counts.max(initial=fewest)))]
    return Band(fewest, most, len(inside), int(inside.sum()))
