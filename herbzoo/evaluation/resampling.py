"""Intervals by drawing again: how much a figure would move with other specimens of the same kind.

Rows of one gathering are drawn together, because they are not independent of one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, statistic: Callable[[np.ndarray], float], draws: Draws) -> Interval:
        """Computes a statistic of weighted rows, and its percentile interval.

        Args:
            statistic: maps weights `[N]` to a number; what is not finite is left out.
            draws: the weights to compute it with.
        """
        drawn = np.array([statistic(weights) for weights in draws], dtype=np.float64)
        drawn = drawn[np.isfinite(drawn)]
        value = float(statistic(np.ones(draws.rows)))
        if not len(drawn):
            return cls(value, value, value)
        tail = 100 * (1 - LEVEL) / 2
        low, high = np.percentile(drawn, [tail, 100 - tail])
        return cls(value, float(low), float(high))

    def as_dict(self) -> dict[str, Any]:
        """Returns the plain dict that `metrics.json` holds."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Draws:
    """Draws of groups with replacement, as a number of times for every row; made as they are read.

    The weights of 1,000 draws of 80,000 rows would not fit into memory together.
    """

    groups: np.ndarray
    """`[N]`, the same number for rows that are drawn together."""
    seed: int = 0
    draws: int = DRAWS

    @property
    def rows(self) -> int:
        """Returns the number of rows."""
        return len(self.groups)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields weights `[N]`; the same ones every time."""
        _, codes = np.unique(self.groups, return_inverse=True)
        count = int(codes.max()) + 1 if len(codes) else 0
        generator = np.random.default_rng(self.seed)
        for _ in range(self.draws):
            drawn = np.bincount(generator.integers(count, size=count), minlength=count)
            yield drawn[codes].astype(np.float64)
