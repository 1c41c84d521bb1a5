"""Herbarium sheets of the training, for others to be looked up among."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.records import HERBARIUM, Collection
from herbzoo.errors import DataError
from herbzoo.evaluation.figures.look import NothingToDraw

if TYPE_CHECKING:
    from herbzoo.evaluation.evaluated import Evaluated
    from herbzoo.evaluation.protocols import Trial

FEWEST, MOST = 1_000, 20_000
"""As many sheets are taken as rows are measured, but no fewer than the one and no more than the
other, so that looking them up costs about as much as measuring a large collection does."""


def training_sheets(trial: Trial, seed: int = 0) -> Evaluated:
    """Runs the model over sheets that it was trained on, drawn evenly over the species.

    Raises:
        NothingToDraw: if there are none, or they cannot be looked at in passing.
    """
    train = trial.train
    if train is None or not len(train):
        raise NothingToDraw("it is not known which rows the model learned from")
    sheets = train.select((train.column("basisOfRecord") == HERBARIUM).to_numpy(dtype=bool))
    if not len(sheets):
        raise NothingToDraw(f"no training row is a herbarium sheet (basisOfRecord {HERBARIUM})")
    if hasattr(train.images, "blocks"):
        raise NothingToDraw(
            "the training images are read in blocks, and a few here and there cost as much as all: "
            "see the protocol retrieval"
        )
    most = min(MOST, max(FEWEST, len(trial.rows)))
    try:
        return trial.run(
            drawn_evenly(sheets, most, seed), embeddings=True, doing="looking up sheets"
        )
    except DataError as error:
        raise NothingToDraw(str(error)) from error


def drawn_evenly(collection: Collection, most: int, seed: int = 0) -> Collection:
    """Returns rows drawn at random, of every species one before of any a second."""
    shuffled = collection.frame["scientificName"].sample(frac=1, random_state=seed)
    turn = shuffled.groupby(shuffled).cumcount().sort_values(kind="stable")
    return collection.select(np.sort(turn.index.to_numpy()[:most]))
