"""A line for each species: how often it was there, was answered and was right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.outcomes import NO_ANSWER, Outcomes
from herbzoo.whole_file import whole

if TYPE_CHECKING:
    import pandas as pd

FILE_NAME = "per_class.csv"


def per_class(evaluated: Evaluated) -> pd.DataFrame:
    """Returns a table of the species that are in the truth or among the answers, sorted by name.

    Its columns are `scientificName`, `genus`, `family`; `training_images`, missing for a species
    the model does not know; `n`, its rows; `right`, those named so; `answered`, all rows named so;
    `precision`, missing where it is never answered; `recall` and `f1`, missing where it is not in
    the truth: the mean of the others is the macro-F1 of `metrics.json`; and `taken_for`, the
    species that its rows are most often mistaken for, the first in class order of several, with
    `taken_for_n`, how often.

    Args:
        evaluated: a model run over rows.
    """
    outcomes = evaluated.outcomes
    answers = outcomes.predicted[outcomes.predicted != NO_ANSWER]
    species = np.union1d(outcomes.truth, answers)
    n = _times(species, outcomes.truth)
    right = _times(species, outcomes.truth[outcomes.right])
    answered = _times(species, answers)
    taken_for, times = _taken_for(outcomes, species)
    labels = np.array([*evaluated.taxonomy.labels_in_order(), ""], dtype=object)
    with np.errstate(invalid="ignore"):  # 0 / 0 is missing
        shares = {
            "precision": right / answered,
            "recall": right / n,
            "f1": np.where(n > 0, 2 * right / (n + answered), np.nan),
        }
    counts = {"n": n, "right": right, "answered": answered, **shares}
    mistaken = {"taken_for": labels[taken_for], "taken_for_n": times}
    table = _described(evaluated, species).assign(**counts, **mistaken)
    return table.sort_values("scientificName", kind="stable", ignore_index=True)


def write_per_class(folder: Path, evaluated: Evaluated) -> Path:
    """Writes `per_class.csv` into a folder, whole or not at all; returns its path."""
    path = folder / FILE_NAME
    with whole(path) as partial:
        per_class(evaluated).to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")
    return path


def _times(species: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(species, values), minlength=len(species))


def _described(evaluated: Evaluated, species: np.ndarray) -> pd.DataFrame:
    """Returns names and training images; of unknown species from the first of their rows."""
    import pandas as pd

    taxa, labels = evaluated.taxonomy.taxa, evaluated.taxonomy.labels_in_order()
    truth, first = np.unique(evaluated.outcomes.truth, return_index=True)
    row = dict(zip(truth.tolist(), first.tolist(), strict=True))
    columns = ("scientificName", "genus", "family")
    stated = [evaluated.collection.column(name).tolist() for name in columns]
    names = [
        (labels[one], taxa[one].genus, taxa[one].family)
        if one >= 0
        else tuple(values[row[one]] for values in stated)
        for one in species.tolist()
    ]
    images = [taxa[one].count if one >= 0 else pd.NA for one in species.tolist()]
    table = pd.DataFrame(names, columns=list(columns), dtype=str)
    return table.assign(training_images=pd.array(images, dtype="Int64"))


def _taken_for(outcomes: Outcomes, species: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the class that each species is most often mistaken for, -1 if none; how often."""
    wrong = ~outcomes.right & (outcomes.predicted != NO_ANSWER)
    pairs = np.stack([outcomes.truth[wrong], outcomes.predicted[wrong]])
    (truth, predicted), times = np.unique(pairs, axis=1, return_counts=True)
    order = np.lexsort((predicted, -times, truth))
    mistaken, first = np.unique(truth[order], return_index=True)
    best = order[first]
    place = np.searchsorted(species, mistaken)
    taken_for, often = np.full(len(species), -1), np.zeros(len(species), dtype=np.int64)
    taken_for[place], often[place] = predicted[best], times[best]
    return taken_for, often
