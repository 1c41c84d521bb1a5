"""The collection that a recipe names, as it is to be learned from."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from herbzoo.data.corrections import FACT, correct_split
from herbzoo.data.decisions import Decision, parse_rows, settled_rows
from herbzoo.data.descriptions import with_descriptions
from herbzoo.data.name_resolution import full_names, resolve_collection
from herbzoo.data.readers import open_collection
from herbzoo.data.record_table import NoImages
from herbzoo.data.records import COLUMNS, Collection, Skipped
from herbzoo.data.splits import Split
from herbzoo.errors import DataError
from herbzoo.name_table import NameTable
from herbzoo.recipe import DataRecipe
from herbzoo.whole_file import write_whole

SKIPPED_FILE = "skipped.csv"
CORRECTIONS_FILE = "corrections.csv"
"""Copy of the decisions in a run: a review may have gone on since."""

logger = logging.getLogger(__name__)


def open_source(data: DataRecipe) -> Collection:
    """Opens the collection of a recipe, without looking at its images.

    Raises:
        DataError: if it cannot be read.
    """
    collection = open_collection(
        data.source,
        name_column=data.name_column or None,
        skip_bad=data.skip_bad,
        streaming=data.streaming,
    )
    return with_names(collection, data)


def with_names(collection: Collection, data: DataRecipe) -> Collection:
    """Resolves names, and describes species, with the tables of the recipe, if it has them.

    Raises:
        DataError: if a table cannot be read.
    """
    if data.taxonomy:
        collection = _with_accepted_names(collection, data)
    return with_descriptions(collection, Path(data.traits)) if data.traits else collection


def _with_accepted_names(collection: Collection, data: DataRecipe) -> Collection:
    table = NameTable.load(Path(data.taxonomy), full_names(collection))
    resolved = resolve_collection(collection, table)
    if ambiguous := resolved.facts["names_resolved"]["ambiguous"]:
        logger.warning(
            "%s: %d names are ambiguous in %s and stay as they are, such as %s",
            *(collection.name, len(ambiguous), data.taxonomy, ambiguous[0]["name"]),
        )
    return resolved


def corrected(split: Split, data: DataRecipe, content: bytes) -> Split:
    """Applies decisions about names to a split, under the accepted names if the recipe has a table.

    Args:
        split: of the collection as it is.
        data: says where the decisions are from.
        content: of their table.

    Returns:
        The split. Facts of its training rows, under `names_corrected`, say what became of the
        decisions: `file`, `digest` and the numbers of `herbzoo.data.corrections.Corrected`.

    Raises:
        DataError: if the table holds no decisions, or these leave nothing.
    """
    path = Path(data.corrections)
    decisions = settled_rows(parse_rows(content, path), path)
    if data.taxonomy:
        decisions = _under_accepted_names(decisions, data)
    split, counts = correct_split(split, decisions)
    digest = hashlib.sha256(content).hexdigest()[:12]
    facts = {"file": path.name, "digest": digest, **asdict(counts)}
    train = replace(split.train, facts={**split.train.facts, FACT: facts})
    if data.traits:  # of the new names
        train = with_descriptions(train, Path(data.traits))
    return replace(split, train=train)


def read_corrections(data: DataRecipe, kept: Path) -> bytes:
    """Returns the decisions of a recipe, from the folder of its run if it has a copy.

    Raises:
        DataError: if they cannot be read.
    """
    for path in (kept / CORRECTIONS_FILE, Path(data.corrections)):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror})") from error
    raise DataError(f"there are no decisions at {data.corrections}: check --corrections")


def _under_accepted_names(decisions: Sequence[Decision], data: DataRecipe) -> list[Decision]:
    import pandas as pd

    rows = [{column: getattr(one, column, "") for column in COLUMNS} for one in decisions]
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=str)
    named = Collection(frame, NoImages(), data.corrections)
    table = NameTable.load(Path(data.taxonomy), full_names(named))
    terms = ["scientificName", "scientificNameAuthorship", "genus", "family", "taxonID"]
    accepted = resolve_collection(named, table).frame[terms].itertuples(index=False)
    return [
        replace(one, **cast(dict[str, Any], dict(zip(terms, values, strict=True))))
        for one, values in zip(decisions, accepted, strict=True)
    ]


def without_images(collection: Collection, skipped: Sequence[Skipped]) -> Collection:
    """Leaves out the rows of images that cannot be read, and lists them with the others.

    Raises:
        DataError: if none is left.
    """
    if not skipped:
        return collection
    readable = ~collection.frame["image"].isin({item.where for item in skipped})
    if not readable.any():
        raise DataError(
            f"none of the images of {collection.name} can be read; the first: {skipped[0].where}: "
            f"{skipped[0].reason}"
        )
    kept = collection.select(readable)
    return replace(kept, skipped=(*collection.skipped, *skipped))


def write_skipped(folder: Path, skipped: Sequence[Skipped]) -> Path:
    """Writes the list of what was left out, and returns its path."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("where", "reason"))
    writer.writerows((item.where, item.reason) for item in skipped)
    return write_whole(folder / SKIPPED_FILE, text.getvalue())


def read_skipped(folder: Path) -> tuple[Skipped, ...]:
    """Reads the list back; it is empty where there is none."""
    path = folder / SKIPPED_FILE
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple(Skipped(row["where"], row["reason"]) for row in csv.DictReader(stream))
