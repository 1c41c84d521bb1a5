"""How far genera are from each other in evolution, as a data set states it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class GenusDistances:
    """Distances between genera; `Collection.facts["genus_distances"]` of Kaggle Herbarium 2022.

    They are read when they are first asked for, since there are millions and few ask.
    """

    load: Callable[[], tuple[tuple[str, ...], np.ndarray]]
    """Returns `genera` and `matrix`."""

    @cached_property
    def _loaded(self) -> tuple[tuple[str, ...], np.ndarray]:
        return self.load()

    @property
    def genera(self) -> tuple[str, ...]:
        """The genera, G in number."""
        return self._loaded[0]

    @property
    def matrix(self) -> np.ndarray:
        """`float32 [G, G]`: symmetric, 0 for a genus itself, NaN where nothing is said."""
        return self._loaded[1]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {genus: row for row, genus in enumerate(self.genera)}

    def between(self, one: Sequence[str], other: Sequence[str]) -> np.ndarray:
        """Returns the distance of each pair, `float32 [N]`, NaN where a genus is not known.

        Args:
            one: N genera.
            other: N genera, compared in order.
        """
        rows = np.array([self._rows.get(genus, -1) for genus in one], dtype=int)
        columns = np.array([self._rows.get(genus, -1) for genus in other], dtype=int)
        found = self.matrix[rows, columns].copy()
        found[(rows < 0) | (columns < 0)] = np.nan
        return found
