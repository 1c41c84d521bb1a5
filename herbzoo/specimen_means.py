"""Means over the images of one specimen, made while the images go by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from herbzoo.data.records import Collection


@dataclass
class SpecimenMeans:
    """Averages probabilities over the rows of a specimen, which come one after the other.

    Holds the sum of one unfinished specimen and nothing else from one batch to the next.
    """

    specimens: np.ndarray
    """Number of the specimen of each row, ascending."""
    _rows: list[int] = field(default_factory=list)
    _sum: np.ndarray | None = None

    def take(
        self, rows: np.ndarray, probabilities: np.ndarray, end: int
    ) -> tuple[list[list[int]], np.ndarray]:
        """Adds rows `[B]` with probabilities `[B, C]`; every row before `end` has been seen.

        Returns:
            The rows of the specimens that are finished, and their means `[specimens, C]`.
        """
        finished: list[list[int]] = []
        means: list[np.ndarray] = []

        def finish() -> None:
            if self._sum is not None:
                finished.append(self._rows)
                means.append(self._sum / len(self._rows))
            self._rows, self._sum = [], None

        for row, probability in zip(rows.tolist(), probabilities, strict=True):
            if self._rows and self.specimens[self._rows[0]] != self.specimens[row]:
                finish()
            self._rows.append(row)
            own = probability.astype(np.float64)
            self._sum = own if self._sum is None else self._sum + own
        ends_here = end == len(self.specimens) or (
            self._rows and self.specimens[end] != self.specimens[self._rows[0]]
        )
        if ends_here:
            finish()
        return finished, np.array(means).reshape(len(means), probabilities.shape[1])


def specimen_numbers(collection: Collection, by_specimen: bool) -> np.ndarray:
    """Numbers the specimen of each row by its first row; every image its own unless asked."""
    rows = np.arange(len(collection))
    if not by_specimen:
        return rows
    first: dict[str, int] = {}
    ids = collection.column("occurrenceID").tolist()
    return np.array(
        [first.setdefault(name, row) if name else row for row, name in enumerate(ids)],
        dtype=np.int64,
    )
