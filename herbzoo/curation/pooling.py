"""From several opinions to one: each made into probabilities that keep their word, then pooled.

Scores of an opinion are divided by a temperature before the softmax (Guo et al. 2017,
arXiv:1706.04599); then logarithms are averaged, a logarithmic pool (Genest and Zidek 1986,
doi:10.1214/ss/1177013825), and the mean gets a temperature of its own. Temperatures are those at
which the present names are likeliest, some of which are wrong: without that, a few impossible names
would make all probabilities timid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Explained = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Returns how likely the names of some rows `[B]` are, given log probabilities `[B, C]`."""
ENOUGH_ROWS = 2_000
"""Rows on which one number a temperature is found well enough."""
WRONG = 0.05
"""Share of the names that one opinion takes to be wrong; the result hardly depends on it."""
LEAST = -20.0
"""Logarithm of the least probability that one opinion alone may give a species."""
_RANGE = (-6.0, 8.0)
"""Logarithms between which a temperature is looked for."""


@dataclass(frozen=True)
class Pool:
    """How opinions are weighed."""

    temperatures: tuple[float, ...]
    """Of each opinion."""
    final: float
    """Of their mean."""

    @classmethod
    def fit(cls, scores: Sequence[np.ndarray], labels: np.ndarray, explained: Explained) -> Pool:
        """Finds the temperatures.

        Args:
            scores: of each opinion `[B, C]`, `-inf` for species that it cannot know.
            labels: present names `[B]`; rows whose name no opinion can know do not count.
            explained: how likely the present names are, given the pooled opinion.
        """
        rows = np.arange(len(labels))
        known = (labels >= 0) & np.isfinite(scores[0][rows, labels])
        if not known.any():
            return cls((1.0,) * len(scores), 1.0)
        own, some = labels[known], np.flatnonzero(known)
        chosen = [score[known] for score in scores]
        temperatures = tuple(
            _temperature(score, lambda logs: _likelihood(logs, own)) for score in chosen
        )
        mean = _mean(chosen, temperatures)
        return cls(temperatures, _temperature(mean, lambda logs: explained(some, logs)))

    def __call__(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Returns logarithms of probabilities `[B, C]`; `-inf` for what no opinion can know."""
        return log_softmax(_mean(scores, self.temperatures) / self.final, axis=1)


def _mean(scores: Sequence[np.ndarray], temperatures: Sequence[float]) -> np.ndarray:
    total = np.zeros(scores[0].shape, dtype=np.float32)
    for score, temperature in zip(scores, temperatures, strict=True):
        total += np.maximum(log_softmax(score / temperature, axis=1), LEAST)
    total /= len(scores)
    total[np.isinf(scores[0])] = -np.inf
    return total


def _likelihood(logs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns how likely names are to one opinion, a few of which are any name at all, `[B]`."""
    known = max(int(np.isfinite(logs).any(axis=0).sum()), 1)
    own = np.exp(logs[np.arange(len(labels)), labels])
    return (1 - WRONG) * own + WRONG / known


def _temperature(scores: np.ndarray, likelihood: Callable[[np.ndarray], np.ndarray]) -> float:
    def cost(log_temperature: float) -> float:
        logs = log_softmax(scores / np.exp(log_temperature), axis=1)
        return -float(np.log(likelihood(logs) + np.finfo(np.float64).tiny).mean())

    found = minimize_scalar(cost, bounds=_RANGE, method="bounded", options={"xatol": 1e-2})
    return float(np.exp(found.x))
