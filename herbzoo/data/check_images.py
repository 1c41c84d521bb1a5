"""Checks that open every image: is it readable, is anything on it, is it there twice?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from herbzoo.data.blank import blank_images
from herbzoo.data.describe import shown_names
from herbzoo.data.duplicates import exact_duplicates, near_duplicates
from herbzoo.data.findings import ERROR, NOTE, WARNING, Finding, Places, images_of
from herbzoo.data.records import Collection, Skipped
from herbzoo.data.unreadable import unreadable

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Makes a bar for a verb and a number of images; yields what is told how many more are done."""


def silent(doing: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Shows no progress."""
    return nullcontext(lambda images: None)


@dataclass(frozen=True)
class Looks:
    """What all images together tell."""

    broken: tuple[Skipped, ...]
    """Images that cannot be decoded."""
    blank: tuple[str, ...]
    exact: tuple[tuple[int, ...], ...]
    """Groups of rows whose images are the same file."""
    near: tuple[tuple[int, ...], ...]
    """Groups of rows whose images look almost the same, blank ones left out."""


def look_at(collection: Collection, *, workers: int = -1, progress: Progress = silent) -> Looks:
    """Opens all images of a collection.

    Args:
        collection: rows and images.
        workers: processes that decode; 0 for none but this one, -1 for as many as suit.
        progress: shows how far it is.
    """
    keys = collection.frame["image"].unique().tolist()
    with progress("decoding", len(keys)) as advance:
        broken = unreadable(collection, workers=workers, progress=advance)
    unread = {skipped.where for skipped in broken}
    keys = [key for key in keys if key not in unread]
    with progress("looking for blanks", len(keys)) as advance:
        blank = blank_images(collection.images, keys, workers=workers, progress=advance)
    readable = np.flatnonzero(~collection.frame["image"].isin(unread).to_numpy(dtype=bool))
    rest = collection.select(readable) if unread else collection
    with progress("looking for duplicates", len(rest)) as advance:
        exact = exact_duplicates(rest, workers=workers, progress=advance)
    with progress("looking for near duplicates", len(rest)) as advance:
        near = near_duplicates(rest, workers=workers, progress=advance)
    empty = set(np.flatnonzero(collection.frame["image"].isin(blank).to_numpy(dtype=bool)).tolist())
    groups = (_but(readable[list(group)].tolist(), empty) for group in near)
    return Looks(
        tuple(broken),
        tuple(blank),
        tuple(tuple(readable[list(group)].tolist()) for group in exact),
        tuple(group for group in groups if len(group) > 1),
    )


def _but(rows: Sequence[int], unwanted: set[int]) -> tuple[int, ...]:
    return tuple(row for row in rows if row not in unwanted)


def image_findings(collection: Collection, looks: Looks) -> Iterator[Finding]:
    """Yields what is wrong with the images of a collection."""
    places = Places(collection.frame["image"], collection.frame["image"])
    for skipped in looks.broken:
        yield Finding(
            "image-unreadable",
            ERROR,
            skipped.where,
            skipped.reason.removeprefix(f"{skipped.where}: "),
            "replace the file, or leave its rows out",
            places.rows(skipped.where),
        )
    for key in looks.blank:
        what = "the picture is blank, or almost: 98% of it is of one shade"
        advice = "look at it, and leave its rows out if nothing is to be seen"
        yield Finding("image-blank", WARNING, key, what, advice, places.rows(key))
    # Several rows of one image are another finding; here only different files count.
    again = set(np.flatnonzero(collection.frame["image"].duplicated().to_numpy(bool)).tolist())
    again |= set(places.rows(*looks.blank))
    same: dict[int, int] = {}
    for number, group in enumerate(looks.exact):
        rows = _but(group, again)
        same |= dict.fromkeys(rows, number)
        if len(rows) > 1:
            yield _duplicate(collection, rows, exact=True)
    for group in looks.near:
        rows = _but(group, again)
        if len({same.get(row, -row - 1) for row in rows}) > 1:  # more than one set of equal files
            yield _duplicate(collection, rows, exact=False)


def _duplicate(collection: Collection, rows: Sequence[int], *, exact: bool) -> Finding:
    named = collection.frame["scientificName"].iloc[list(rows)]
    names = sorted(set(named) - {""})
    alike = "are the same" if exact else "look almost the same"
    where = images_of(collection, rows)
    if len(names) > 1:
        told = shown_names([repr(name) for name in names])
        return Finding(
            "duplicate-with-two-names" if exact else "near-duplicate-with-two-names",
            ERROR if exact else WARNING,
            where,
            f"{len(rows):,} images {alike} and bear {told}",
            "find out which name is right: one of them is wrong if this is one plant",
            tuple(rows),
        )
    return Finding(
        "duplicate" if exact else "near-duplicate",
        NOTE,
        where,
        f"{len(rows):,} images {alike}" + (f": {names[0]}" if names else ""),
        "keep one of them, or keep them in one part of a split",
        tuple(rows),
    )
