"""Learning a calibration from labelled rows that a model was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.calibration import Calibration
from herbzoo.data.records import Collection
from herbzoo.errors import DataError
from herbzoo.evaluation.evaluated import coded_truth
from herbzoo.evaluation.metrics import measured
from herbzoo.evaluation.outcomes import Levels, Outcomes
from herbzoo.evaluation.ranking import ScoreAccumulator
from herbzoo.evaluation.score_spool import ScoreSpool
from herbzoo.evaluation.selective import promises
from herbzoo.evaluation.temperature import TemperatureFit
from herbzoo.taxonomy import Taxonomy

if TYPE_CHECKING:
    from herbzoo.inference import Identifier

FEWEST = 20
"""Rows from which on a temperature says more than no temperature."""
MOST = 10_000
"""Rows that are drawn at random from more."""
ROOM = 2 * 1024**3
"""Bytes of scores that are laid into a file at most."""


def calibrate(
    identifier: Identifier,
    collection: Collection,
    source: str,
    *,
    batch_size: int = 32,
    workers: int = -1,
    progress: Callable[[int], object] = lambda images: None,
) -> Calibration:
    """Learns temperature and thresholds.

    Args:
        identifier: the model; a calibration that it has is not used.
        collection: rows that are like those to be identified, and were not trained on.
        source: which rows these are, for the record.
        batch_size: images that go through the model together.
        workers: processes that decode images; 0 is none, -1 chooses.
        progress: told how many more rows are done.

    Raises:
        DataError: if fewer than `FEWEST` rows can be read and are of species the model knows.
    """
    rows = drawn(collection, len(identifier.taxonomy))
    with ScoreSpool(len(identifier.taxonomy)) as scores:
        readable, done = [], 0
        for batch in identifier.scored(rows, batch_size, workers):
            scores.append(batch.logits)
            readable.append(batch.rows)
            progress(batch.end - done)
            done = batch.end
        read = np.concatenate(readable) if readable else np.empty(0, dtype=np.int64)
        return learned(scores, rows.select(read), identifier.taxonomy, source)


def learned(
    scores: ScoreSpool, collection: Collection, taxonomy: Taxonomy, source: str
) -> Calibration:
    """Learns temperature and thresholds from scores.

    Args:
        scores: `[N, C]`, before any temperature.
        collection: the `N` rows they are of.
        taxonomy: what the `C` classes are.
        source: which rows these are, for the record.

    Raises:
        DataError: if fewer than `FEWEST` rows are of species the model knows.
    """
    truth = coded_truth(collection, taxonomy)
    levels = Levels.of(taxonomy)
    higher = levels.truth(collection, truth)
    fit = TemperatureFit()
    for part, logits in scores.chunks():
        fit.update(logits, truth[part])
    if fit.rows < FEWEST:
        raise DataError(
            f"{fit.rows} readable images of species that the model knows are too few to "
            f"calibrate it with: give at least {FEWEST}"
        )

    def outcomes(temperature: float) -> Outcomes:
        accumulator = ScoreAccumulator(levels, temperature)
        for part, logits in scores.chunks():
            names = {rank: each[part] for rank, each in higher.items()}
            accumulator.update(logits.numpy(), truth[part], names)
        return accumulator.outcomes()

    plain, scaled = outcomes(1.0), outcomes(fit.temperature)
    domains = collection.column("basisOfRecord").to_numpy(dtype=str)
    names, counts = np.unique(domains, return_counts=True)
    return Calibration(
        fit.temperature,
        len(collection),
        source,
        dict(zip(names.tolist(), counts.tolist(), strict=True)),
        _figures(plain),
        _figures(scaled),
        promises(scaled),
    )


def drawn(collection: Collection, classes: int) -> Collection:
    """Returns the named rows, or as many of them, drawn at random, as are enough and fit."""
    named = np.flatnonzero((collection.column("scientificName") != "").to_numpy(dtype=bool))
    most = most_rows(classes)
    if len(named) > most:
        named = np.sort(np.random.default_rng(0).choice(named, most, replace=False))
    return collection.select(named)


def most_rows(classes: int) -> int:
    """Returns how many rows are enough, and fit, for so many classes."""
    return max(FEWEST, min(MOST, ROOM // (4 * classes)))


def _figures(outcomes: Outcomes) -> dict[str, float]:
    found = measured(outcomes)
    known = {"nll": found.nll, "ece": found.ece}
    return {name: value for name, value in known.items() if value is not None}
