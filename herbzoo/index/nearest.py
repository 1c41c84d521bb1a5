"""The search itself: queries to the database, and its rows to matches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from herbzoo.data.records import COLUMNS, SpecimenRecord
from herbzoo.index.database import SearchPlan
from herbzoo.index.embedding_table import EMBEDDING
from herbzoo.index.match import Match
from herbzoo.index.search_plan import refine_factor
from herbzoo.index.specimen_rows import RECORD, THUMBNAIL
from herbzoo.index.thumbnails import Thumbnails

if TYPE_CHECKING:
    from lancedb.table import LanceTable

QUERIES = 32
"""Queries that are sent to the database at once."""
_DISTANCE, _QUERY, _PICTURED = "_distance", "query_index", "_pictured"


def nearest(
    table: LanceTable,
    plan: SearchPlan,
    queries: np.ndarray,
    k: int,
    condition: str,
    *,
    exact: bool,
    thumbnails: Thumbnails,
) -> list[tuple[Match, ...]]:
    """Finds the rows nearest to each query, nearest first; equally near ones by their image.

    Args:
        table: of an index.
        plan: how it is searched.
        queries: `[N, D]`, of length 1.
        k: rows for each.
        condition: SQL, or ''.
        exact: look at every vector.
        thumbnails: of the index.
    """
    found: list[tuple[Match, ...]] = []
    for start in range(0, len(queries), QUERIES):
        some = queries[start : start + QUERIES]
        builder: Any = table.search(list(some), vector_column_name=EMBEDDING)
        builder = builder.distance_type("cosine").limit(k)
        if exact or not plan.partitions:
            builder = builder.bypass_vector_index()
        else:
            probes = plan.partitions if condition else plan.probes
            builder = builder.nprobes(probes).refine_factor(refine_factor(k))
        if condition:
            builder = builder.where(condition, prefilter=True)
        wanted = {RECORD: RECORD, _DISTANCE: _DISTANCE}
        if thumbnails == "kept":
            wanted[_PICTURED] = f"{THUMBNAIL} IS NOT NULL"
        rows = builder.select(wanted).to_arrow()
        found += _by_query(rows, len(some), thumbnails == "linked")
    return found


def _by_query(rows: pa.Table, queries: int, linked: bool) -> list[tuple[Match, ...]]:
    """Sorts rows out; a single query's have no number."""
    grouped: list[list[tuple[float, str, Match]]] = [[] for _ in range(queries)]
    for row in rows.to_pylist():
        record, distance = json.loads(row[RECORD]), row[_DISTANCE]
        similarity = min(1.0, max(-1.0, 1.0 - distance))
        match = match_of(record, similarity, row.get(_PICTURED, linked))
        grouped[row.get(_QUERY, 0)].append((distance, match.record.image, match))
    return [tuple(match for _, _, match in sorted(own, key=lambda o: o[:2])) for own in grouped]


def match_of(row: dict[str, str], similarity: float, pictured: bool) -> Match:
    """Makes a match of a row's columns; blank ones are left out."""
    record = SpecimenRecord(*(row.get(name, "") for name in COLUMNS))
    rest = {name: value for name, value in row.items() if value and name not in COLUMNS}
    return Match(record, similarity, rest, pictured)
