"""How well scores rank the true species: top-1, top-5, mean reciprocal rank and macro-F1.

Three conventions hold everywhere:

- The rank of the truth is 1 plus the number of classes that score strictly higher, plus the
  classes of equal score that come before it in class order (a stable sort, best first). A true
  class whose score is not a number is never found, and other scores that are not numbers stand
  below all that are.
- A row whose species the model does not know (a negative truth) is wrong: its rank is infinite.
- Macro-F1 averages over the species present in the truth. A species the model does not know is one
  of them, with an F1 of 0; each distinct negative truth stands for one such species.

Only three numbers a row are kept, never the scores: 80,000 images times 15,501 classes are 5 GB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

NO_ANSWER = np.iinfo(np.int64).min
"""Predicted class of a row that has no score at all that is a number; equals no truth."""
METRIC_NAMES = {"top1": "top-1", "top5": "top-5", "mrr": "MRR", "macro_f1": "macro-F1"}
"""What people call the figures of `Metrics`."""
BLANK = "(blank)"
"""Name of the group of rows whose value in the column is empty."""


@dataclass(frozen=True)
class Metrics:
    """Accuracy over some rows; shares are between 0 and 1."""

    n: int
    """Rows."""
    top1: float
    """Share of rows whose truth ranks first."""
    top5: float
    """Share of rows whose truth ranks among the first five."""
    mrr: float
    """Mean of 1 / rank of the truth."""
    macro_f1: float
    """F1 of each species present in the truth, averaged with equal weight."""
    unknown: int = 0
    """Rows whose species the model does not know; they count as wrong above."""

    def as_dict(self) -> dict[str, Any]:
        """Returns the plain dict that `metrics.json` holds."""
        return asdict(self)


@dataclass(frozen=True)
class Outcomes:
    """What became of each row; three arrays of one length `N`."""

    truth: np.ndarray
    """Class indices; negative for species the model does not know."""
    predicted: np.ndarray
    """Class of the highest score."""
    rank: np.ndarray
    """Rank of the truth as a float, from 1; infinite where it is never found."""

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.truth)

    def select(self, rows: np.ndarray) -> Outcomes:
        """Returns the rows that a mask or positions choose."""
        return Outcomes(self.truth[rows], self.predicted[rows], self.rank[rows])

    def metrics(self) -> Metrics:
        """Summarises the rows."""
        return summarise(self.truth, self.predicted, self.rank)


@dataclass
class RankAccumulator:
    """Takes scores a batch at a time and keeps three numbers a row."""

    _batches: list[Outcomes] = field(default_factory=list, repr=False)

    def update(self, scores: ArrayLike, truth: ArrayLike) -> None:
        """Adds a batch.

        Args:
            scores: `[B, C]`, higher is likelier; logits or probabilities.
            truth: `[B]` class indices; negative for species the model does not know.
        """
        self._batches.append(ranked(scores, truth))

    def outcomes(self) -> Outcomes:
        """Returns all rows so far, in the order they came."""
        batches = self._batches or [ranked(np.empty((0, 1)), np.empty(0, dtype=np.int64))]
        return Outcomes(
            np.concatenate([batch.truth for batch in batches]),
            np.concatenate([batch.predicted for batch in batches]),
            np.concatenate([batch.rank for batch in batches]),
        )

    def metrics(self) -> Metrics:
        """Summarises all rows so far."""
        return self.outcomes().metrics()


def ranked(scores: ArrayLike, truth: ArrayLike) -> Outcomes:
    """Finds the predicted class and the rank of the truth in each row.

    Args:
        scores: `[B, C]`, higher is likelier.
        truth: `[B]` class indices; negative for species the model does not know.

    Raises:
        ValueError: if the shapes do not go together, or a truth is no class.
    """
    table = np.asarray(scores)
    wanted = np.asarray(truth, dtype=np.int64)
    if table.ndim != 2 or wanted.shape != table.shape[:1]:
        raise ValueError(f"scores {table.shape} and truth {wanted.shape} do not go together")
    if table.shape[1] == 0 or (wanted >= table.shape[1]).any():
        raise ValueError(f"a truth is none of the {table.shape[1]} classes")
    known = wanted >= 0
    column = np.where(known, wanted, 0)[:, None]
    own = np.take_along_axis(table, column, axis=1)
    before = np.arange(table.shape[1]) < column
    # Comparisons with what is not a number are false, which puts it below every number.
    rank = 1.0 + (table > own).sum(axis=1) + ((table == own) & before).sum(axis=1)
    rank[~known | np.isnan(own[:, 0])] = np.inf
    return Outcomes(wanted, _best(table), rank)


def _best(table: np.ndarray) -> np.ndarray:
    highest = np.fmax.reduce(table, axis=1)  # fmax passes over what is not a number
    predicted = (table == highest[:, None]).argmax(axis=1).astype(np.int64)
    predicted[np.isnan(highest)] = NO_ANSWER
    return predicted


def summarise(truth: ArrayLike, predicted: ArrayLike, rank: ArrayLike) -> Metrics:
    """Summarises rows, all of shape `[N]`, as `ranked` returns them.

    Raises:
        ValueError: if there are no rows.
    """
    wanted, answers, ranks = np.asarray(truth), np.asarray(predicted), np.asarray(rank)
    if len(wanted) == 0:
        raise ValueError("there are no rows to summarise")
    return Metrics(
        n=len(wanted),
        top1=float((ranks <= 1).mean()),
        top5=float((ranks <= 5).mean()),
        mrr=float((1.0 / ranks).mean()),
        macro_f1=macro_f1(wanted, answers),
        unknown=int((wanted < 0).sum()),
    )


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Averages F1 over the classes present in the truth.

    What scikit-learn's `f1_score` gives with `average="macro"` and `labels` set to those classes.

    Args:
        truth: `[N]`.
        predicted: `[N]`.
    """
    present, true_counts = np.unique(truth, return_counts=True)
    answered, answer_counts = np.unique(predicted, return_counts=True)
    hit, hit_counts = np.unique(truth[truth == predicted], return_counts=True)
    hits = np.zeros(len(present))
    hits[np.searchsorted(present, hit)] = hit_counts
    claims = np.zeros(len(present))
    _, at_present, at_answered = np.intersect1d(present, answered, return_indices=True)
    claims[at_present] = answer_counts[at_answered]
    # 2 TP / (2 TP + FP + FN), and the sum below the line is claims plus occurrences.
    return float((2 * hits / (claims + true_counts)).mean())


def grouped(
    outcomes: Outcomes, columns: Mapping[str, Sequence[str]], split: str = "test"
) -> dict[str, Any]:
    """Summarises all rows, and the rows of each value of some columns, as `metrics.json` does.

    A column with exactly two values, not counting empty ones, also gets the harmonic mean of its
    two top-1 accuracies.

    Args:
        outcomes: `N` rows.
        columns: by column name, the `N` values.
        split: what these rows are called.
    """
    groups = {
        name: {
            value or BLANK: outcomes.select(values == value).metrics()
            for value in sorted(set(values.tolist()))
        }
        for name, values in ((name, np.asarray(given)) for name, given in columns.items())
    }
    harmonic = {}
    for name, of_value in groups.items():
        accuracies = [metrics.top1 for value, metrics in of_value.items() if value != BLANK]
        if len(accuracies) == 2:
            harmonic[name] = harmonic_mean(*accuracies)
    return {
        "protocol": "standard",
        "split": split,
        "n": len(outcomes),
        "overall": outcomes.metrics().as_dict(),
        "groups": {
            name: {value: metrics.as_dict() for value, metrics in of_value.items()}
            for name, of_value in groups.items()
        },
        "harmonic_mean": harmonic,
    }


def harmonic_mean(first: float, second: float) -> float:
    """Returns 2ab / (a + b), and 0 where both are 0."""
    return 2 * first * second / (first + second) if first + second else 0.0
