"""Folds in which no gathering is on both sides: a duplicate must not vouch for itself."""

from __future__ import annotations

import numpy as np

from herbzoo.errors import DataError

MOST = 10
"""Folds of a small collection: each sheet is judged by nine tenths of the others."""
FEWER = 5
MANY = 20_000
"""Rows from which on `FEWER` folds do: so many sheets are left in each."""


def gathering_folds(
    gatherings: np.ndarray, species: np.ndarray, folds: int = 0, seed: int = 0
) -> np.ndarray:
    """Deals gatherings to folds so that those of one species are spread as evenly as can be.

    Args:
        gatherings: a number for each row, `[N]`; rows of one number stay together.
        species: a number for each row, `[N]`; a gathering counts as its first row. Species of
            neighbouring numbers, such as those of a genus, are spread together.
        folds: how many, two at least; 0 chooses by the number of rows.
        seed: decides which gathering goes where.

    Returns:
        The fold of each row, `[N]`, from 0.

    Raises:
        DataError: if there is only one gathering, or one fold.
    """
    if folds == 1:
        raise DataError(
            "one fold leaves no other to judge it by: take two or more, or 0 for what suits"
        )
    each, first, place = np.unique(gatherings, return_index=True, return_inverse=True)
    if len(each) < 2:
        raise DataError(
            f"all {len(gatherings):,} images are of one gathering, so there is nothing to compare "
            "them with"
        )
    wanted = folds or (MOST if len(gatherings) < MANY else FEWER)
    count = min(wanted, len(each))
    rng = np.random.default_rng(seed)
    own = species[first]
    order = np.lexsort((rng.random(len(each)), own))
    # Dealt in one round over all species, so that folds are of one size too.
    fold = np.empty(len(each), dtype=np.int64)
    fold[order] = np.arange(len(each)) % count
    return fold[place]
