"""Ways to split a collection: by gathering, institution, species or genus.

None divides what belongs together; a random choice of images is not offered, because it does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from herbzoo.data.drawing import draw, held_rows
from herbzoo.data.gatherings import gatherings
from herbzoo.data.joins import Join
from herbzoo.data.records import Collection
from herbzoo.data.splits import Split
from herbzoo.errors import DataError

STRATEGIES = {
    "gathering": "",
    "institution": "institutionCode",
    "species": "scientificName",
    "genus": "genus",
}
"""The ways to split, and the column whose values are held out whole."""
UNUSED = "unused"
"""What `split` holds for a row that is in no part."""


@dataclass(frozen=True)
class SplitPlan:
    """Which row of a collection is in which part."""

    parts: np.ndarray
    """`train`, `validation`, `test` or `UNUSED` for each row."""
    rule: str
    held_out: tuple[str, ...] = ()
    """The institutions, species or genera of which no row is in train."""
    column: str = ""
    """The column that names them."""
    torn: int = 0
    """Rows that are `UNUSED` because a row they belong together with is held out."""

    def apply(self, collection: Collection) -> Split:
        """Returns the parts of the collection that was planned for."""
        train, validation, test = (
            collection.select(self.parts == part) for part in ("train", "validation", "test")
        )
        return Split(train, validation, test, int((self.parts == UNUSED).sum()), self.rule)


def plan_split(
    collection: Collection,
    by: str,
    *,
    hold_out: Sequence[str] = (),
    test_share: float = 0.2,
    validation_share: float = 0.1,
    seen_share: float = 0.0,
    seed: int = 0,
    joins: Iterable[Join] = (),
    least_train: int = 1,
    least_test: int = 0,
) -> SplitPlan:
    """Plans a split that divides no specimen and no gathering.

    - `gathering`: a share of the gatherings of every species is for testing. Rare species take
      their turns, so that the whole is right; one of a single gathering stays in train.
    - `institution`: all rows of the institutions named are for testing (leave one herbarium out).
    - `species`, `genus`: all rows of those named, or of a drawn share of them, are for testing
      (zero-shot).

    Where a gathering has rows on both sides of such a line (duplicates in two herbaria, a specimen
    under two names), those outside of test are left out. Validation rows are gatherings held out
    from train.

    Args:
        collection: what to split.
        by: one of `STRATEGIES`.
        hold_out: the institutions, species or genera to hold out.
        test_share: share of the gatherings, species or genera to test on.
        validation_share: share of the gatherings to validate on, of all that are not for testing
            by name.
        seen_share: with `species` and `genus`, share of the gatherings of the others that are for
            testing too, so that seen and unseen species can be compared.
        seed: decides the random choices, together with the rows and not with their order.
        joins: further rows that must not be divided, such as near-duplicate images.
        least_train: gatherings that every species keeps in train, or all it has.
        least_test: gatherings of every species that are tested, if it has so many beyond those.

    Raises:
        DataError: if there is no such way or nothing of the name to hold out, a share is out of
            range, or no row is left to train or to test on.
    """
    if by not in STRATEGIES:
        raise DataError(f"a split by {by!r} is not known; there are {', '.join(STRATEGIES)}")
    frame = collection.frame
    groups = gatherings(frame, joins)
    column = STRATEGIES[by]
    chosen: tuple[str, ...] = ()
    if column:
        chosen = _named(collection, column, hold_out) or _drawn(collection, by, test_share, seed)
        test = frame[column].isin(chosen).to_numpy()
        test_share = seen_share
    elif hold_out:
        raise DataError("a split by 'gathering' draws what it holds out; name none")
    else:
        test = np.zeros(len(frame), dtype=bool)
    torn = np.isin(groups, groups[test]) & ~test
    parts = np.where(test, "test", np.where(torn, UNUSED, "train")).astype(object)
    least = {"least_kept": least_train, "least_held": least_test}
    _move(parts, "test", frame, groups, test_share, seed, **least)
    # A share of what is left is larger than the same share of the whole.
    share = min(0.9, validation_share / (1 - test_share)) if validation_share < 1 else 1.0
    _move(parts, "validation", frame, groups, share, seed, least_kept=least_train)
    rule = f"by {by}{': ' + _few(chosen) if chosen else ''}, seed {seed}"
    _refuse_empty(collection, parts, rule)
    return SplitPlan(parts, rule, chosen, column, int(torn.sum()))


def _move(
    parts: np.ndarray,
    part: str,
    frame: pd.DataFrame,
    groups: np.ndarray,
    share: float,
    seed: int,
    **least: int,
) -> None:
    """Moves a share of the gatherings in train to another part."""
    train = np.flatnonzero(parts == "train")
    held = held_rows(frame.iloc[train], groups[train], share, seed, **least)
    parts[train[held]] = part


def _named(collection: Collection, column: str, asked: Sequence[str]) -> tuple[str, ...]:
    counts = collection.column(column).value_counts()
    counts = counts[counts.index != ""]
    if asked and not len(counts):
        raise DataError(
            f"{collection.name} has nothing in column {column}, so {asked[0]!r} neither"
        )
    for value in asked:
        if value not in counts.index:
            spelt = {name.casefold(): name for name in counts.index}
            close = difflib.get_close_matches(value.casefold(), spelt, n=3)
            near = [spelt[name] for name in close]
            some = near or counts.index[:8].tolist()
            shown = ", ".join(f"{name!r} ({counts[name]:,})" for name in some)
            raise DataError(
                f"{collection.name} has no row with {column} {value!r}; "
                f"{'did you mean' if near else 'it has'} {shown}{'?' if near else ''}"
            )
    if column == STRATEGIES["institution"] and not asked:
        if not len(counts):
            raise DataError(
                f"{collection.name} says of no row which institution it is of ({column})"
            )
        shown = ", ".join(f"{name} ({count:,})" for name, count in counts.head(8).items())
        more = f" and {len(counts) - 8:,} more" if len(counts) > 8 else ""
        raise DataError(f"say which institution to hold out: {collection.name} has {shown}{more}")
    return tuple(asked)


def _drawn(collection: Collection, by: str, share: float, seed: int) -> tuple[str, ...]:
    names = sorted(set(collection.column(STRATEGIES[by])) - {""})
    if not 0 < share < 1:
        raise DataError(f"a share of {share} of the {by} cannot be held out; take above 0, below 1")
    if len(names) < 2:
        raise DataError(f"{collection.name} has {len(names)} {by}: none can be held out")
    count = min(max(1, round(share * len(names))), len(names) - 1)
    order = draw(pd.Series(names), seed).to_numpy()
    return tuple(names[place] for place in np.sort(np.argsort(order)[:count]))


def _refuse_empty(collection: Collection, parts: np.ndarray, rule: str) -> None:
    for part, why in {
        "train": "hold out less",
        "test": "every species has one gathering, or the share is too small",
    }.items():
        if not (parts == part).any():
            raise DataError(f"a split of {collection.name} {rule} has no {part} rows: {why}")


def _few(values: Sequence[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3:,} more" if len(values) > 3 else "")
