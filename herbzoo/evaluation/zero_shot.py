"""Species that had no training images: named among themselves, and among all.

The generalised figures (Xian et al. 2018, arXiv:1707.00600) let every class compete: seen, unseen
and their harmonic mean H. Among the unseen names alone the question is easier, and is stated apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.data.gatherings import gatherings
from herbzoo.data.records import Collection
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.intervals import statistics
from herbzoo.evaluation.metrics import measured
from herbzoo.evaluation.ranking import ScoreAccumulator
from herbzoo.evaluation.resampling import Draws, Interval

if TYPE_CHECKING:
    from herbzoo.inference import ScoredBatch

SEEN, UNSEEN = "seen", "unseen"


class AmongUnseen:
    """Takes batches and ranks rows of unseen species among the unseen classes alone.

    Args:
        truth: class index of each row, `[N]`; negative if unknown.
        unseen: which classes had no training images, `[C]`.
    """

    def __init__(self, truth: np.ndarray, unseen: np.ndarray) -> None:
        self._truth = truth
        self._classes = np.flatnonzero(unseen)
        self._place = np.full(len(unseen), -1)
        self._place[self._classes] = np.arange(len(self._classes))
        self._accumulator = ScoreAccumulator()
        self._rows: list[np.ndarray] = []

    def __call__(self, batch: ScoredBatch) -> None:
        """Adds a batch."""
        truth = self._truth[batch.rows]
        place = np.where(truth >= 0, self._place[truth], -1)
        rows = np.flatnonzero(place >= 0)
        if len(rows):
            self._accumulator.update(batch.logits[rows][:, self._classes], place[rows])
            self._rows.append(batch.rows[rows])

    def figures(self, collection: Collection) -> dict[str, Any]:
        """Returns metrics of the rows of unseen species, with intervals and the level of chance.

        Args:
            collection: the rows whose truth was given.
        """
        outcomes = self._accumulator.outcomes()
        if not len(outcomes):
            return {}
        draws = Draws(gatherings(collection.select(np.concatenate(self._rows)).frame))
        known = statistics(outcomes)
        return measured(outcomes).as_dict() | {
            "chance": 1 / len(self._classes),
            "intervals": {
                name: Interval.of(known[name], draws).as_dict() for name in ("top1", "top5")
            },
        }


def genus_of_unseen(evaluated: Evaluated, unseen: np.ndarray) -> dict[str, Any]:
    """Says how often rows of unseen species are put into the right genus, if one was trained on.

    Args:
        evaluated: the rows, every class competing.
        unseen: which classes had no training images, `[C]`.

    Returns:
        `n` and `genus_top1` with its interval; empty where no row asks.
    """
    taxa = evaluated.taxonomy.taxa
    trained = {taxon.genus for taxon, new in zip(taxa, unseen, strict=True) if not new} - {""}
    truth = evaluated.outcomes.truth
    asking = np.array([t >= 0 and unseen[t] and taxa[t].genus in trained for t in truth.tolist()])
    if not asking.any():
        return {}
    chosen = evaluated.select(asking)
    draws = Draws(gatherings(chosen.collection.frame))
    found = Interval.of(statistics(chosen.outcomes)["genus_top1"], draws)
    return {"n": len(chosen), "genus_top1": found.as_dict()}
