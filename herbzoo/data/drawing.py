"""Which rows are held out: drawn by a seed, gathering by gathering, from every species."""

from __future__ import annotations

import numpy as np
import pandas as pd

from herbzoo.errors import DataError


def held_rows(
    frame: pd.DataFrame,
    groups: np.ndarray,
    share: float,
    seed: int,
    *,
    least_kept: int = 1,
    least_held: int = 0,
) -> np.ndarray:
    """Draws a share of the groups of every species.

    Args:
        frame: rows of a `Collection`.
        groups: a number for every row, the same for rows that go together.
        share: of the groups, from 0 to below 1.
        seed: decides the choice, together with the rows and not with their order.
        least_kept: groups that every species keeps, or all it has.
        least_held: groups that every species gives up, if it has so many beyond `least_kept`.

    Returns:
        A mask of the rows that are held out.

    Raises:
        DataError: if the share is out of range.
    """
    if not 0 <= share < 1:
        raise DataError(f"a share of {share} cannot be held out; it must be from 0 to below 1")
    if share == 0 or not len(frame):
        return np.zeros(len(frame), dtype=bool)
    group = np.unique(groups, return_inverse=True)[1]
    species, names = pd.factorize(frame["scientificName"], sort=True)
    rows = pd.DataFrame({"group": group, "species": species})
    order = draw(frame["image"].reset_index(drop=True).groupby(group).min(), seed)
    pairs = rows.value_counts().rename("images").reset_index()
    pairs["order"] = order.to_numpy()[pairs["group"]]

    # The last groups in the drawn order stay, whichever of their species they stay for.
    last = pairs.sort_values("order", ascending=False).groupby("species").head(least_kept)
    homes = pairs.sort_values(["images", "species"], ascending=[False, True])
    homes = homes.drop_duplicates("group").sort_values(["species", "order"])
    sizes = homes.groupby("species").size()
    quota = _quotas(sizes, names, share, seed).clip(lower=least_held)
    homes = homes[~homes["group"].isin(last["group"])]
    rank = homes.groupby("species").cumcount()
    taken = homes.loc[rank < homes["species"].map(quota), "group"]
    return np.isin(group, taken.to_numpy())


def draw(keys: pd.Series, seed: int) -> pd.Series:
    """Returns the place of each key in an order that depends on the seed and the keys alone."""
    hashes = pd.util.hash_array(
        keys.to_numpy(dtype=object), hash_key=f"{seed % 10**16:016d}", categorize=False
    )
    places = np.empty(len(keys), dtype=np.int64)
    places[np.argsort(hashes, kind="stable")] = np.arange(len(keys))
    return pd.Series(places, index=keys.index)


def _quotas(sizes: pd.Series, names: pd.Index, share: float, seed: int) -> pd.Series:
    """Returns how many groups each species gives up.

    Each number is `share * size` rounded up or down, by rounding the running sum over the species
    in a drawn order: so the whole is right, and rare species take their turns at being tested.
    """
    several = sizes[sizes > 1]
    drawn = draw(pd.Series(names[several.index], index=several.index), seed)
    several = several.iloc[np.argsort(drawn.to_numpy(), kind="stable")]
    # A tiny addition keeps sums such as 0.1 + 0.2 on their side of a half.
    steps = np.floor(np.cumsum(several.to_numpy() * share) + 0.5 + 1e-9)
    return pd.Series(np.diff(steps, prepend=0.0), index=several.index).reindex(
        sizes.index, fill_value=0.0
    )
