"""What a split lets through from the rows that are learned from to those that are tested on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from herbzoo.data.gatherings import specimen_joins
from herbzoo.data.joins import Join, connected, join_groups
from herbzoo.data.records import Collection
from herbzoo.data.splits import PARTS, Split

_EXAMPLES = 3


@dataclass(frozen=True)
class Leak:
    """Rows of a part that have something in common with rows that are learned from."""

    kind: str
    """What they have in common: `specimen`, `gathering`, `near-duplicate image`, ..."""
    test_rows: int
    """Rows of `part` that have a counterpart among the others."""
    share: float
    """Those, of all rows of `part`."""
    examples: tuple[tuple[str, str], ...]
    """Some images learned from, each with one of `part`."""
    pairs: int
    """All such pairs."""
    part: str = "test"
    """`test`, against train and validation, or `validation`, against train."""


def joined(split: Split) -> Collection:
    """Returns the rows of train, validation and test, in this order, as one collection."""
    frames = [getattr(split, part).frame for part in PARTS]
    return replace(split.train, frame=pd.concat(frames, ignore_index=True))


def find_leaks(
    split: Split, *, duplicates: Mapping[str, Sequence[tuple[int, ...]]] | None = None
) -> list[Leak]:
    """Finds what test rows share with train and validation, and validation rows with train.

    Args:
        split: the parts.
        duplicates: what else belongs together: a kind, such as `near-duplicate image`, and groups
            of rows of `joined(split)`.

    Returns:
        Leaks of the test rows, then of the validation rows; kinds that do not leak have none.
    """
    frame = joined(split).frame
    names = frame["image"].to_numpy()
    kinds: dict[str, list[Join]] = defaultdict(list)
    for join in _joins(frame, duplicates):
        kinds[join.kind].append(join)
    numbers = {kind: connected(joins, len(frame)) for kind, joins in kinds.items()}
    found = []
    for part, learned, held in _sides(split):
        for kind, number in numbers.items():
            leak = _leak(kind, part, number, learned, held, names)
            if leak.test_rows:
                found.append(leak)
    return found


def without_leaks(
    split: Split,
    *,
    duplicates: Mapping[str, Sequence[tuple[int, ...]]] | None = None,
    drop: str = "test",
) -> tuple[Split, int]:
    """Leaves out rows until the split leaks nothing.

    Args:
        split: the parts.
        duplicates: as for `find_leaks`.
        drop: `test` leaves out held-out rows that leak (validation rows for train, test rows for
            both others); `train` leaves out the rows that give them away instead.

    Returns:
        The split, whose `left_out` counts them too, and how many they are.
    """
    frame = joined(split).frame
    number = connected(_joins(frame, duplicates), len(frame))
    gone = np.zeros(len(frame), dtype=bool)
    sides = list(_sides(split))
    for _, learned, held in sides if drop == "train" else reversed(sides):
        one, other = (held, learned) if drop == "train" else (learned, held)
        gone |= other & ~gone & np.isin(number, number[one & ~gone])
    ends = np.cumsum([len(getattr(split, part)) for part in PARTS])
    train, validation, test = (
        getattr(split, part).select(~gone[end - len(getattr(split, part)) : end])
        for part, end in zip(PARTS, ends, strict=True)
    )
    count = int(gone.sum())
    rule = f"{split.rule}; {count:,} leaking rows left out" if count else split.rule
    return Split(train, validation, test, split.left_out + count, rule), count


def leaking_rows(
    split: Split, *, duplicates: Mapping[str, Sequence[tuple[int, ...]]] | None = None
) -> int:
    """Returns how many test rows leak in any way, also by way of a third row."""
    frame = joined(split).frame
    number = connected(_joins(frame, duplicates), len(frame))
    _, learned, held = next(iter(_sides(split)))
    return int((held & np.isin(number, number[learned])).sum())


def _joins(
    frame: pd.DataFrame, duplicates: Mapping[str, Sequence[tuple[int, ...]]] | None
) -> list[Join]:
    others = [join_groups(kind, groups) for kind, groups in (duplicates or {}).items()]
    return [*specimen_joins(frame), *others]


def _sides(split: Split) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Returns a part, what is learned from as a mask of `joined` rows, and the part's own rows."""
    sizes = [len(getattr(split, part)) for part in PARTS]
    part = np.repeat(np.arange(len(PARTS)), sizes)
    return [("test", part < 2, part == 2), ("validation", part == 0, part == 1)]


def _leak(
    kind: str,
    part: str,
    number: np.ndarray,
    learned: np.ndarray,
    held: np.ndarray,
    names: np.ndarray,
) -> Leak:
    size = int(number.max()) + 1 if len(number) else 0
    here = np.bincount(number[held], minlength=size)
    there = np.bincount(number[learned], minlength=size)
    leaking = np.flatnonzero(here * there)
    rows = int(here[leaking].sum())
    examples = tuple(
        (str(names[learned & (number == one)][0]), str(names[held & (number == one)][0]))
        for one in leaking[:_EXAMPLES]
    )
    pairs = int((here[leaking] * there[leaking]).sum())
    return Leak(kind, rows, rows / max(1, int(held.sum())), examples, pairs, part)
