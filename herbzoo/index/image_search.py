"""Images to answers, a batch at a time, with those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.inputs import collect_images
from herbzoo.data.records import COLUMNS, Collection, SpecimenRecord
from herbzoo.identification import Candidate, Identification

if TYPE_CHECKING:
    from herbzoo.index.neighbours import NeighbourRanking
    from herbzoo.inference import Identifier, ImageInput


@dataclass(frozen=True)
class QueryBatch:
    """Some consecutive images and what the model made of them."""

    rows: tuple[int, ...]
    """Their positions in the collection."""
    images: tuple[tuple[str, str], ...]
    """Key of each, and why it could not be read or ''."""
    vectors: np.ndarray
    """`[B, D]`, embeddings of those that could, in order."""


def embedded(
    identifier: Identifier, images: ImageInput, batch_size: int = 0, workers: int = -1
) -> Iterator[QueryBatch]:
    """Embeds images in order; one that cannot be read does not end it.

    Raises:
        DataError: if there is nothing at a path, or no image.
    """
    collection = images if isinstance(images, Collection) else collect_images(images)
    keys: list[str] = collection.frame["image"].tolist()
    for batch in identifier.embedded(collection, batch_size, workers):
        problems = {int(row): "" for row in batch.rows}
        problems |= {failure.row: failure.reason for failure in batch.failures}
        rows = tuple(sorted(problems))
        yield QueryBatch(rows, tuple((keys[row], problems[row]) for row in rows), batch.embeddings)


def identified(
    ranking: NeighbourRanking,
    identifier: Identifier,
    images: ImageInput,
    batch_size: int = 0,
    workers: int = -1,
) -> Iterator[list[Identification]]:
    """Identifies images by neighbours, in order, a batch at a time.

    Args:
        ranking: on an index.
        identifier: the model of that index.
        images: paths, Pillow images, or a collection.
        batch_size: images that go through the model together; 0 for what suits the device.
        workers: processes that decode images; 0 is none, -1 chooses.

    Raises:
        RunError: if it is another model.
        DataError: if there is nothing at a path, or no image.
    """
    from herbzoo.index.embedding_table import EmbeddingModel

    index = ranking.index
    index.model.check_same(EmbeddingModel.of(identifier), index.where)
    collection = images if isinstance(images, Collection) else collect_images(images)
    frame = collection.frame[list(COLUMNS)]
    for batch in embedded(identifier, collection, batch_size, workers):
        answers: Iterator[tuple[Candidate, ...]] = iter(())
        if len(batch.vectors):
            answers = iter(ranking(batch.vectors))
        records = frame.iloc[list(batch.rows)].itertuples(index=False, name=None)
        yield [
            Identification(
                SpecimenRecord(*record), () if problem else next(answers), (image,), problem
            )
            for record, (image, problem) in zip(records, batch.images, strict=True)
        ]
