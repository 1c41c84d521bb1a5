"""Answers to the test set of a Kaggle Herbarium competition, in the form that it takes.

2020 to 2022 want `Id,Predicted`: the id that the test metadata give an image, and a category id.
2019, which has no metadata, wants `Id,Category`: the name of the file, and category ids, the
likeliest first. https://github.com/visipedia/herbarium_comp describes both, year by year.
"""

from __future__ import annotations

import csv
import posixpath
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.readers import open_images
from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.records import Collection
from herbzoo.errors import DataError, RunError
from herbzoo.evaluation.outcomes import NO_ANSWER
from herbzoo.evaluation.ranking import ranked
from herbzoo.identification_file import failures_path
from herbzoo.identification_output import csv_text, printable
from herbzoo.taxonomy import Taxonomy
from herbzoo.whole_file import whole

if TYPE_CHECKING:
    from herbzoo.inference import Identifier, ScoredBatch

ID_COLUMNS = ("image_id", "Id")
"""Columns of a table that hold the ids."""
METADATA_IDS, FILE_IDS = ("Id", "Predicted"), ("Id", "Category")
MOST_CATEGORIES = 5
"""Categories a row in the form that takes several."""
_NO_SCORE = "the model gives it no score that is a number"


@dataclass(frozen=True)
class Challenge:
    """The images that a competition wants to be named."""

    collection: Collection
    """`N` rows."""
    ids: tuple[str, ...]
    """What the competition calls each of them."""
    header: tuple[str, str] = METADATA_IDS
    categories: frozenset[str] = frozenset()
    """Category ids of the training set, where that is there too."""


@dataclass(frozen=True)
class Submission:
    """A file that was written."""

    path: Path
    rows: int
    failures: tuple[tuple[str, str], ...]
    """Images that got the most frequent species instead of an answer, and why; they are listed in
    `failures_path(path)`."""
    stand_in: str
    """That species."""


def open_challenge(data: str | Path) -> Challenge:
    """Opens the test set of a competition as it was downloaded, or of a table with ids.

    Args:
        data: what `open_images` takes. Of a table, rows that a column `split` marks `test`, else
            all; its ids are in a column of `ID_COLUMNS`.

    Raises:
        DataError: if there are no test images, or they have no ids or one twice.
    """
    every = open_images(data)
    parts = every.column("split").map(normalise_split).to_numpy(dtype=object)
    test = every.select(np.array(parts == "test", dtype=bool))
    if not len(test) and (parts == "").all():
        test = every
    if not len(test):
        found = ", ".join(sorted({*parts} - {""}))
        raise DataError(
            f"{data} has no test images, only those of {found}: give the folder that holds the "
            "test set too, or its test metadata"
        )
    ids, header = _ids(data, test)
    if twice := [one for one, times in Counter(ids).items() if times > 1]:
        raise DataError(
            f"{data}: several images have the id {twice[0]}, and each must have its own"
        )
    categories = every.column("taxonID")[parts == "train"]
    return Challenge(test, tuple(ids), header, frozenset(categories.unique()) - {""})


def category_ids(taxonomy: Taxonomy, challenge: Challenge | None = None) -> list[str]:
    """Returns the category id of each class.

    Args:
        taxonomy: the classes of a model that was trained on the competition's data.
        challenge: compared with, where it knows the categories of the competition.

    Raises:
        RunError: if a class has none, or they are not the competition's.
    """
    if taxonomy.name_table is not None:
        raise RunError(
            f"the model's names were resolved with {taxonomy.name_table.name}, so that its taxonID "
            "are no category ids: train without a name table"
        )
    without = [taxon.scientificName for taxon in taxonomy.taxa if not taxon.taxonID.isdecimal()]
    if without:
        raise RunError(
            f"the model has no category id for {len(without):,} of its {len(taxonomy):,} species, "
            f"such as {without[0]}: train it on the competition's data, whose ids it then keeps"
        )
    if challenge is not None and challenge.categories:
        for taxon in taxonomy.taxa:
            if taxon.taxonID not in challenge.categories:
                raise RunError(
                    f"{challenge.collection.name} has no category {taxon.taxonID}, which is "
                    f"{taxon.scientificName} to the model: it was trained on another competition"
                )
    return [taxon.taxonID for taxon in taxonomy.taxa]


def write_submission(
    identifier: Identifier,
    challenge: Challenge,
    output: Path,
    *,
    batch_size: int = 32,
    workers: int = -1,
    progress: Callable[[int], object] = lambda images: None,
) -> Submission:
    """Names every image of a test set; the file is there once it is complete.

    An image that cannot be read, or of which no score is a number, is named as the species with
    the most training images, and listed beside the file.

    Args:
        identifier: the model.
        challenge: the images.
        output: the CSV file to write.
        batch_size: images that go through the model together.
        workers: processes that decode images; 0 is none, -1 chooses.
        progress: told how many more rows are done, after each batch.

    Raises:
        RunError: if classes have no category ids, or the file is there already.
        DataError: if no image can be read.
    """
    refuse_in_the_way(output)
    categories = category_ids(identifier.taxonomy, challenge)
    counts = [taxon.count for taxon in identifier.taxonomy.taxa]
    usual = int(np.argmax(counts))
    several = MOST_CATEGORIES if challenge.header == FILE_IDS else 1
    failures: list[tuple[str, str]] = []
    with whole(output) as partial:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(challenge.header)
            done = 0
            for batch in identifier.scored(challenge.collection, batch_size, workers):
                answers, failed = _answers(batch, challenge, several)
                for row in range(done, batch.end):
                    classes = answers.get(row, [usual])
                    writer.writerow(
                        [challenge.ids[row], " ".join(categories[one] for one in classes)]
                    )
                failures += failed
                progress(batch.end - done)
                done = batch.end
        if len(failures) == len(challenge.ids):
            file, reason = failures[0]
            raise DataError(
                f"none of the {len(failures):,} test images of {challenge.collection.name} can be "
                f"named; the first: {file}: {reason}"
            )
        _list(failures, output)
    name = identifier.taxonomy.taxa[usual].scientificName
    return Submission(output, len(challenge.ids), tuple(failures), name)


def refuse_in_the_way(output: Path) -> None:
    """Checks that a file may be written, which is worth knowing before the work.

    Raises:
        RunError: if it is there already, or is a folder.
    """
    if output.is_dir():
        raise RunError(f"{output} is a folder: give --output a file")
    if output.exists():
        raise RunError(f"{output} exists: choose another --output")


def _answers(
    batch: ScoredBatch, challenge: Challenge, several: int
) -> tuple[dict[int, list[int]], list[tuple[str, str]]]:
    """Returns the best classes by row, and the images without any and why."""
    failures = {failure.row: (failure.key, failure.reason) for failure in batch.failures}
    answers: dict[int, list[int]] = {}
    found = ranked(batch.logits, np.full(len(batch.rows), -1), top_k=several)
    images = challenge.collection.frame["image"]
    for row, best, top in zip(
        batch.rows.tolist(), found.predicted.tolist(), found.top.tolist(), strict=True
    ):
        if best == NO_ANSWER:
            failures[row] = (str(images.iloc[row]), _NO_SCORE)
        else:
            answers[row] = top
    return answers, [failures[row] for row in sorted(failures)]


def _list(failures: list[tuple[str, str]], output: Path) -> None:
    path = failures_path(output)
    path.unlink(missing_ok=True)  # of a file that is not there any more
    if failures:
        rows = [(printable(file), printable(reason)) for file, reason in failures]
        path.write_text(csv_text([("file", "reason"), *rows]), encoding="utf-8", newline="")


def _ids(data: str | Path, test: Collection) -> tuple[list[str], tuple[str, str]]:
    """Returns the id of each row, and the header of the form that goes with them."""
    column = next((name for name in ID_COLUMNS if name in test.frame.columns), None)
    keys = test.column("image").tolist()
    header = METADATA_IDS
    if column is not None:
        ids = test.column(column).tolist()
    elif test.facts.get("reader") != "kaggle":
        raise DataError(
            f"{data} has no ids of images: give a Kaggle Herbarium set as it was downloaded, its "
            f"test metadata, or a table with a column {ID_COLUMNS[0]}"
        )
    else:
        ids, header = [posixpath.basename(key) for key in keys], FILE_IDS
    if "" in ids:
        raise DataError(f"{data} has no id for the image {keys[ids.index('')]}")
    return ids, header
