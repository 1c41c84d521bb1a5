"""A model run over rows whose species are known: what became of them, and their embeddings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.batches import UNKNOWN, class_indices
from herbzoo.data.records import Collection
from herbzoo.errors import DataError
from herbzoo.evaluation.outcomes import Levels, Outcomes
from herbzoo.evaluation.ranking import ScoreAccumulator
from herbzoo.taxonomy import Taxonomy

if TYPE_CHECKING:
    from herbzoo.image_batches import Failure
    from herbzoo.inference import Identifier, ScoredBatch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluated:
    """The rows that could be read, in their order, and what the model made of them."""

    collection: Collection
    """`N` rows."""
    outcomes: Outcomes
    """The same `N` rows."""
    taxonomy: Taxonomy
    """The classes that outcomes speak of."""
    levels: Levels
    """Their genera and families."""
    unreadable: int = 0
    """Rows left out, because their images cannot be read."""
    embeddings: np.ndarray | None = None
    """`[N, D]`, float32, not normalised; only if asked for."""
    uncalibrated: Outcomes | None = None
    """The same rows without the model's temperature, if it has one; without genus and family."""

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.outcomes)

    def select(self, rows: np.ndarray) -> Evaluated:
        """Returns the rows that a mask or positions choose."""
        embeddings = None if self.embeddings is None else self.embeddings[rows]
        before = None if self.uncalibrated is None else self.uncalibrated.select(rows)
        return replace(
            self,
            collection=self.collection.select(rows),
            outcomes=self.outcomes.select(rows),
            embeddings=embeddings,
            uncalibrated=before,
        )


def run_over(
    identifier: Identifier,
    collection: Collection,
    *,
    split: str = "test",
    embeddings: bool = False,
    each: Callable[[ScoredBatch], object] = lambda batch: None,
    batch_size: int = 32,
    workers: int = -1,
    progress: Callable[[int], object] = lambda images: None,
) -> Evaluated:
    """Runs a model over the rows of a collection, at its temperature if it has one.

    Rows without a name are left out, and so are those that cannot be read; of these the first are
    logged.

    Args:
        identifier: the model.
        collection: the rows.
        split: what they are called in errors.
        embeddings: keep the embeddings too, four bytes a row and dimension.
        each: shown every batch of scores, before it is forgotten.
        batch_size: images that go through the model together.
        workers: processes that decode images; 0 is none, -1 chooses.
        progress: told how many more rows are done, after each batch.

    Raises:
        DataError: if there are no rows with a name, the model knows none of the species, or no
            image can be read.
    """
    collection = named_rows(collection, split)
    truth = coded_truth(collection, identifier.taxonomy)
    if (truth < 0).all():
        raise DataError(_strangers(collection, identifier.taxonomy))
    levels = Levels.of(identifier.taxonomy)
    higher = levels.truth(collection, truth)
    accumulator = ScoreAccumulator(levels, identifier.temperature)
    plain = None if identifier.temperature == 1 else ScoreAccumulator()
    readable: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    failures: list[Failure] = []
    done = 0
    for batch in identifier.scored(collection, batch_size, workers):
        own = {rank: names[batch.rows] for rank, names in higher.items()}
        accumulator.update(batch.logits, truth[batch.rows], own)
        if plain is not None:
            plain.update(batch.logits, truth[batch.rows])
        each(batch)
        readable.append(batch.rows)
        failures += batch.failures
        if embeddings:
            vectors.append(batch.embeddings.numpy())
        progress(batch.end - done)
        done = batch.end
    rows = np.concatenate(readable)
    if not len(rows):
        first = failures[0]
        raise DataError(
            f"none of the {len(failures):,} {split} images of {collection.name} can be read; the "
            f"first: {first.key}: {first.reason}"
        )
    for failure in failures[:5]:
        logger.warning("left out of the evaluation: %s: %s", failure.key, failure.reason)
    return Evaluated(
        collection.select(rows) if failures else collection,
        accumulator.outcomes(),
        identifier.taxonomy,
        levels,
        len(failures),
        np.concatenate(vectors) if embeddings else None,
        None if plain is None else plain.outcomes(),
    )


def coded_truth(collection: Collection, taxonomy: Taxonomy) -> np.ndarray:
    """Returns the class index of each row, and a negative number for each species unknown to it."""
    truth = class_indices(collection, taxonomy)
    unknown = np.flatnonzero(truth == UNKNOWN)
    names = collection.column("scientificName").to_numpy(dtype=object)[unknown]
    if len(unknown):
        _, species = np.unique(names.astype(str), return_inverse=True)
        truth[unknown] = -1 - species
    return truth


def named_rows(collection: Collection, split: str) -> Collection:
    """Returns the rows that name a species.

    Raises:
        DataError: if none does.
    """
    has_name = (collection.column("scientificName") != "").to_numpy(dtype=bool)
    if not has_name.any():
        raise DataError(
            f"the {len(collection):,} {split} rows of {collection.name} name no species, so there "
            "is nothing to compare with"
        )
    if has_name.all():
        return collection
    logger.warning("%s: %d rows have no name and are left out", collection.name, (~has_name).sum())
    return collection.select(has_name)


def _strangers(collection: Collection, taxonomy: Taxonomy) -> str:
    names = collection.column("scientificName").unique()
    return (
        f"the model knows none of the {len(names):,} species of {collection.name} (such as "
        f"{names[0]}); it knows {len(taxonomy):,}, such as {taxonomy.taxa[0].scientificName}: "
        "is this the right collection, and are its names without authorship?"
    )
