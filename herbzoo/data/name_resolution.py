"""A collection under the accepted names of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from herbzoo.data.records import Collection
from herbzoo.name_layouts import SYNONYM
from herbzoo.name_table import NameTable
from herbzoo.resolution import AMBIGUOUS, Resolution, count_statuses, resolve, with_authorship

VERBATIM = "verbatimScientificName"
"""The Darwin Core column that keeps a name as it was before."""
VERBATIM_AUTHORSHIP = "verbatimScientificNameAuthorship"
_NAME = ["scientificName", "scientificNameAuthorship"]


def full_names(collection: Collection) -> list[str]:
    """Returns the distinct names of a collection with their authors: what to load a table for."""
    return list(dict.fromkeys(_distinct(collection)["full"]))


def resolve_collection(collection: Collection, table: NameTable) -> Collection:
    """Rewrites the names of a collection to the accepted names of a table.

    Where a name has exactly one accepted name, `scientificName`, `scientificNameAuthorship`,
    `genus`, `family` and `taxonID` become the table's, and the name that stood there is kept in
    `verbatimScientificName`, unless that column has something already. Every other row stays
    untouched.

    Args:
        collection: its names may have their authors behind them or in their own column.
        table: loaded for `full_names(collection)`, or whole.

    Returns:
        The collection. Its `facts["names_resolved"]` holds `table` and `version`; `counts`, how
        many distinct names have each status; `unresolved`, the status of each name that was left;
        `synonyms`, for each accepted name the others found for it; and `ambiguous`, what a botanist
        must decide: `name`, `reason` and `candidates`.
    """
    names = _distinct(collection)
    resolutions = resolve(names["full"], table)
    facts = {**collection.facts, "names_resolved": _facts(names, resolutions, table)}
    return replace(collection, frame=_rewritten(collection.frame, names, resolutions), facts=facts)


def _distinct(collection: Collection) -> pd.DataFrame:
    """Returns the distinct pairs of name and authorship, and both together as `full`."""
    pairs = collection.frame[_NAME].astype(str).drop_duplicates()
    pairs = pairs[pairs["scientificName"] != ""].reset_index(drop=True)
    return pairs.assign(
        full=[with_authorship(name, authors) for name, authors in pairs.itertuples(index=False)]
    )


def _rewritten(
    frame: pd.DataFrame, names: pd.DataFrame, resolutions: list[Resolution]
) -> pd.DataFrame:
    found = [one for one in resolutions if one.resolved]
    names = names[[one.resolved for one in resolutions]]
    of_row = pd.MultiIndex.from_frame(frame[_NAME].astype(str))
    position = pd.MultiIndex.from_frame(names[_NAME]).get_indexer(of_row)
    rows = position >= 0
    frame = frame.copy()
    for column, source in ((VERBATIM, _NAME[0]), (VERBATIM_AUTHORSHIP, _NAME[1])):
        kept = frame[column] if column in frame else pd.Series("", index=frame.index, dtype=str)
        frame[column] = kept.mask(rows & (kept == ""), frame[source])
    synonym = np.array([one.status == SYNONYM for one in found], dtype=bool)
    stated = {
        "scientificName": [one.accepted for one in found],
        "scientificNameAuthorship": [one.authorship for one in found],
        "genus": [one.genus for one in found],
        "family": [one.family for one in found],
        "taxonID": [one.id for one in found],
    }
    for column, values in stated.items():
        new = np.array([*values, ""], dtype=object)[position]  # -1, the last, is of other rows
        # An author or id of the old name must not pass for one of the accepted name.
        stale = rows & np.append(synonym, False)[position] if column != "family" else False
        frame[column] = frame[column].mask((new != "") | stale, new)
    return frame


def _facts(
    names: pd.DataFrame, resolutions: list[Resolution], table: NameTable
) -> Mapping[str, Any]:
    synonyms: dict[str, set[str]] = {}
    unresolved: dict[str, str] = {}
    for name, resolution in zip(names["scientificName"], resolutions, strict=True):
        if not resolution.resolved:
            unresolved[name] = resolution.status
        elif name != resolution.accepted:
            synonyms.setdefault(resolution.accepted, set()).add(name)
    return {
        "table": table.title,
        "version": table.version,
        "counts": count_statuses(resolutions),
        "unresolved": unresolved,
        "synonyms": {name: sorted(others) for name, others in synonyms.items()},
        "ambiguous": [
            {"name": one.text, "reason": one.reason, "candidates": list(one.candidates)}
            for one in resolutions
            if one.status == AMBIGUOUS
        ],
    }
