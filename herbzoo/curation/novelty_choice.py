"""Which score to take: the one that told left-out species from known ones best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from herbzoo.curation.novelty_scores import KNN_SCORE
from herbzoo.curation.rehearsal import Rehearsal, Trial


def best_score(rehearsal: Rehearsal) -> str:
    """Returns the score with the best AUROC, mean over rounds and then over domains.

    Where no species could be left out it is the distance to the nearest known image, which needs
    no other species to compare with.
    """
    means = mean_aurocs(rehearsal.trials)
    return max(means, key=lambda name: means[name]) if means else KNN_SCORE


def mean_aurocs(trials: Iterable[Trial]) -> dict[str, float]:
    """Returns the AUROC of each score; every domain weighs the same, whatever its images."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        found[trial.score][trial.domain].append(trial.auroc)
    return {
        name: float(np.mean([np.mean(values) for values in domains.values()]))
        for name, domains in found.items()
    }


def trial_table(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """Returns a row for each score and domain: the means over the rounds, and their spread."""
    found: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        found[trial.score, trial.domain].append(trial)
    return [
        {
            "score": score,
            "basisOfRecord": domain,
            "rounds": len(some),
            "auroc": round(float(np.mean([one.auroc for one in some])), 4),
            "auroc_spread": round(float(np.std([one.auroc for one in some])), 4),
            "fpr95": round(float(np.mean([one.fpr95 for one in some])), 4),
        }
        for (score, domain), some in sorted(found.items())
    ]
