"""How well an embedding tells the institution: a linear probe against what the species tells.

An embedding of plants should know no more of the herbarium than the plant gives away. Herbaria
differ in what grows near them, so the species alone tells something; what the probe knows beyond
that comes from the sheet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from herbzoo.evaluation.resampling import Draws, Interval

FEWEST = 20
"""Sheets an institution needs to be probed for."""
FOLDS = 5
MOST_ROWS = 4000
"""Sheets that are probed; of more, as many are drawn."""


def probe_rows(frame: pd.DataFrame, groups: np.ndarray, seed: int = 0) -> tuple[np.ndarray, str]:
    """Chooses the rows to probe: those of institutions with enough sheets in enough gatherings.

    Returns:
        Positions, and '' or why there is nothing to probe.
    """
    codes = frame["institutionCode"].astype(str).to_numpy(dtype=object)
    table = pd.DataFrame({"code": codes, "group": groups})
    table = table[table["code"] != ""]
    counts = table.groupby("code")["group"].agg(["size", "nunique"])
    enough = counts[(counts["size"] >= FEWEST) & (counts["nunique"] >= FOLDS)].index
    if len(enough) < 2:
        return np.empty(0, dtype=np.int64), (
            f"{len(enough)} of {len(counts)} institutions have {FEWEST} sheets or more in {FOLDS} "
            "gatherings or more; it takes two"
        )
    rows = np.flatnonzero(np.isin(codes.astype(str), enough.to_numpy(dtype=str)))
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    return rows, ""


def probe(
    embeddings: dict[str, np.ndarray],
    institutions: np.ndarray,
    species: np.ndarray,
    groups: np.ndarray,
    seed: int = 0,
) -> dict[str, Any]:
    """Predicts the institution from embeddings and from the species, over the same folds.

    The folds never divide a gathering. From the species the most frequent institution of its sheets
    in the other folds is predicted, or of all sheets where there are none of it.

    Args:
        embeddings: by view, `[N, D]`.
        institutions: `[N]` names.
        species: `[N]` names.
        groups: `[N]`, the same for rows of one gathering.
        seed: of folds and intervals.

    Returns:
        Counts, the share that the most frequent institution has (`majority`), and with an interval
        the share told right from the species and from the embedding of each view, and what each
        embedding tells beyond the species (`beyond_species`).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    truth = institutions.astype(str)
    right = {view: np.zeros(len(truth), dtype=bool) for view in embeddings}
    by_species = np.zeros(len(truth), dtype=bool)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fit, held in folds.split(truth, truth, groups):
        by_species[held] = _of_species(species[fit], truth[fit], species[held]) == truth[held]
        for view, values in embeddings.items():
            if len(np.unique(truth[fit])) < 2:
                right[view][held] = truth[held] == truth[fit][0]
                continue
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
            right[view][held] = (
                model.fit(values[fit], truth[fit]).predict(values[held]) == truth[held]
            )
    draws = Draws(groups, seed)
    names, counts = np.unique(truth, return_counts=True)

    def share(hits: np.ndarray) -> dict[str, Any]:
        return Interval.of(lambda w: float(w @ hits / w.sum()), draws).as_dict()

    return {
        "n": len(truth),
        "institutions": {str(n): int(c) for n, c in zip(names, counts, strict=True)},
        "majority": float(counts.max() / len(truth)),
        "from_species": share(by_species.astype(float)),
        "from_embedding": {view: share(hits.astype(float)) for view, hits in right.items()},
        "beyond_species": {
            view: share(hits.astype(float) - by_species) for view, hits in right.items()
        },
    }


def _of_species(known: np.ndarray, institutions: np.ndarray, asked: np.ndarray) -> np.ndarray:
    table = pd.DataFrame({"species": known.astype(str), "institution": institutions})
    usual = table["institution"].value_counts().index[0]
    best = table.groupby("species")["institution"].agg(
        lambda values: values.value_counts().index[0]
    )
    return pd.Series(asked.astype(str)).map(best).fillna(usual).to_numpy(dtype=str)
