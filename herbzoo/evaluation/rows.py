"""Which rows of a collection a model is measured on, or calibrated with."""

from __future__ import annotations

import logging
from pathlib import Path

from herbzoo.data.readers import open_collection
from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.records import Collection
from herbzoo.data.splits import Split, make_split
from herbzoo.errors import DataError, RecipeError, RunError
from herbzoo.recipe import FILE_NAME as RECIPE_FILE
from herbzoo.recipe import Recipe
from herbzoo.source import (
    CORRECTIONS_FILE,
    corrected,
    read_skipped,
    with_names,
    without_images,
)
from herbzoo.taxonomy import Taxonomy

logger = logging.getLogger(__name__)


def marked_rows(
    collection: Collection, part: str = "test", column: str | None = None
) -> tuple[Collection, str]:
    """Chooses the rows that a column marks.

    Args:
        collection: all rows.
        part: `test`, `validation` or `train`.
        column: the column whose value marks them. Without one, `split` is used if it marks any,
            else all rows are taken.

    Returns:
        The rows, and a phrase that says which they are.

    Raises:
        DataError: if the column does not exist or marks none; the message lists its values.
    """
    parts = collection.column(column or "split")
    parts = parts.map({value: normalise_split(value) for value in parts.unique()})
    chosen = (parts == part).to_numpy(dtype=bool)
    if chosen.any():
        return collection.select(chosen), f"the {part} rows of column {column or 'split'}"
    if column is None:
        return collection, f"all rows, as none is marked {part} in a column split"
    counts = parts.value_counts().head(8)
    found = ", ".join(f"{value!r} ({count:,})" for value, count in counts.items())
    raise DataError(
        f"column {column!r} of {collection.name} has no {part} rows; it holds {found}: choose "
        "another --split-column, or leave it out for all rows"
    )


def open_for(data: str, run: Path, *, skip_bad: bool = False) -> Collection:
    """Opens a collection to measure on: in the way the run was trained with, if it is the same.

    Raises:
        DataError: if it cannot be read.
    """
    recipe = recipe_over(run, data)
    if recipe is None:
        return open_collection(data, skip_bad=skip_bad)
    return open_collection(
        data,
        name_column=recipe.data.name_column or None,
        skip_bad=skip_bad or recipe.data.skip_bad,
        streaming=recipe.data.streaming,
    )


def recipe_over(run: Path, data: str) -> Recipe | None:
    """Returns the recipe of a run, if it was trained on these data; else `None`."""
    try:
        recipe = Recipe.load(run / RECIPE_FILE)
    except RecipeError:  # not trained by `herbzoo train`
        return None
    source = recipe.data.source
    return recipe if data == source or Path(data).resolve() == Path(source).resolve() else None


def held_out(collection: Collection, run: Path) -> Split | None:
    """Repeats the split that a run was trained with, if it was trained on this collection.

    Returns:
        The split, or `None` if the run learned from other data, if these have changed since, or if
        nothing was held out.
    """
    recipe = recipe_over(run, collection.name)
    if recipe is None:
        return None
    try:
        taxonomy = Taxonomy.load_trained(run)
    except RunError:
        return None
    collection = with_names(without_images(collection, read_skipped(run)), recipe.data)
    split = make_split(
        collection,
        recipe.data.split_column or None,
        recipe.seed,
        validation_share=recipe.data.validation_share,
        test_share=recipe.data.test_share,
    )
    if recipe.data.corrections:
        copy = run / CORRECTIONS_FILE
        if not copy.is_file():  # whatever is at the place that the recipe names may be another's
            logger.warning(
                "%s was trained with decisions about names, and has no %s, as runs of the Hub: "
                "what it held out cannot be told",
                *(run, copy.name),
            )
            return None
        split = corrected(split, recipe.data, copy.read_bytes())
    unchanged = Taxonomy.from_collection(split.train) == taxonomy
    return split if unchanged and len(split.test) else None


def train_rows(collection: Collection, column: str | None = None) -> Collection:
    """Returns the rows that `column` (by default `split`) marks `train`; there may be none."""
    parts = collection.column(column or "split").map(normalise_split)
    return collection.select((parts == "train").to_numpy(dtype=bool))
