"""Where known specimens come from: a collection that the user names, or the run's own training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from herbzoo.data.readers import open_images
from herbzoo.data.records import Collection
from herbzoo.errors import DataError, HerbzooError, RecipeError
from herbzoo.evaluation.rows import held_out, open_for
from herbzoo.recipe import FILE_NAME as RECIPE_FILE
from herbzoo.recipe import Recipe


@dataclass(frozen=True)
class KnownSource:
    """The rows of known specimens, and what is known of their part in the training."""

    collection: Collection
    rule: str
    """Which rows these are, in words."""
    held: np.ndarray
    """Whether the backbone was trained without a row while it learned from others, `[N]`; all
    false where it learned from none."""

    def held_of(self, collection: Collection) -> np.ndarray:
        """Returns the same of those rows that could be read."""
        images = set(self.collection.frame["image"][self.held])
        return collection.frame["image"].isin(images).to_numpy(dtype=bool)


def open_known(known: str, run: str) -> KnownSource:
    """Opens the known specimens.

    Args:
        known: what the user named; '' for what the run was trained on.
        run: the run's folder, or its id on the Hub.

    Raises:
        DataError: if the run's own training rows are asked for and cannot be had, or cannot be told
            from those that its backbone learned from; the message asks for `--known`.
    """
    ask = "name specimens of the known species with --known"
    folder = Path(run)
    if known:
        collection = open_images(known, named_by_folders=True)
        if (folder / RECIPE_FILE).is_file():
            if (own := _own(folder, known)) is not None:
                return own
            recipe = Recipe.load(folder / RECIPE_FILE)
            if _same_place(known, recipe.data.source) and not recipe.training.freeze_backbone:
                raise DataError(
                    f"{run} was trained on {known}, and which of it was held out cannot be told: "
                    f"{ask} that it never saw"
                )
        nothing = np.zeros(len(collection), dtype=bool)
        return KnownSource(collection, f"all named rows of {collection.name}", nothing)
    try:
        source = Recipe.load(folder / RECIPE_FILE).data.source
    except RecipeError as error:
        raise DataError(f"{run} does not say what it was trained on: {ask}") from error
    try:
        own = _own(folder, source)
    except HerbzooError as error:
        raise DataError(
            f"what {run} was trained on, {source}, cannot be opened ({error}): {ask}"
        ) from error
    if own is None:
        raise DataError(
            f"what {run} was trained on, {source}, has changed since, or none of it was held out: "
            f"{ask}"
        )
    return own


def _own(run: Path, source: str) -> KnownSource | None:
    """Returns what a run learned and validated on, if that is what is at `source`."""
    split = held_out(open_for(source, run), run)
    if split is None:
        return None
    parts = [split.train, split.validation]
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    held = np.repeat([False, True], [len(part) for part in parts])
    frozen = Recipe.load(run / RECIPE_FILE).training.freeze_backbone
    rule = f"training and validation rows of {source} ({split.rule})"
    if frozen:
        held[:] = False
    elif not held.any():
        return None
    else:
        rule += "; false alarms measured on validation rows"
    return KnownSource(replace(split.train, frame=frame), rule, held)


def without_known(rows: Collection, known: Collection) -> tuple[Collection, int]:
    """Leaves out images that are themselves among the known specimens.

    They are known by their `occurrenceID` and, where both are of one place, by their image.

    Returns:
        The other rows, and how many were left out.

    Raises:
        DataError: if none is left.
    """
    own = known.frame["occurrenceID"]
    there = rows.frame["occurrenceID"].isin(set(own[own != ""]))
    if _same_place(rows.name, known.name):
        there |= rows.frame["image"].isin(set(known.frame["image"]))
    if not there.any():
        return rows, 0
    if there.all():
        raise DataError(
            f"all {len(rows):,} images of {rows.name} are known specimens themselves: give others, "
            "or look for doubtful names among them with `herbzoo suspects`"
        )
    return rows.select((~there).to_numpy(dtype=bool)), int(there.sum())


def _same_place(one: str, other: str) -> bool:
    return one == other or Path(one).resolve() == Path(other).resolve()
