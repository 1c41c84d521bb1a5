"""How the vectors of an index are searched: all of them while they are few, then by partitions.

Above `EXACT_BELOW` rows, vectors are grouped by k-means (IVF) and kept a second time with one byte
a dimension (scalar quantisation, SQ). A query looks through the partitions next to it by these, and
`REFINED` times as many as are asked for are ranked again by the full vectors. How many partitions
are looked at is measured on rows of the index itself, against an exact search.

With a filter every partition is looked at: the nearest sheets of one family can be anywhere.
Product quantisation is smaller, and there it loses answers, because it cannot tell apart what is
far away: `benchmarks/index.py` shows that of faiss beside this.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.index.database import SearchPlan
from herbzoo.index.embedding_table import EMBEDDING, IMAGE, vectors_of

if TYPE_CHECKING:
    from lancedb.table import LanceTable

EXACT_BELOW = 20_000
"""Rows up to which every vector is looked at: 16 ms at 256 dimensions, where an index takes 6."""
PARTITION_ROWS = 2_000
"""Rows of a partition on average."""
REFINED = 5
LEAST_REFINED = 50
"""Rows that are ranked by their full vectors: this many times those asked for, and so many."""
WANTED_RECALL = 0.98
"""Share of the true 10 nearest to find; more than promised, as queries differ from the rows."""
TRIED = 100
"""Rows that are queries when the recall is measured."""
NEAREST = 10
OUTGROWN = 2
"""From so many times the rows of its making a plan is made anew."""
_SCANNED = 8192


def refine_factor(k: int) -> int:
    """Returns how many times `k` rows are ranked again by their full vectors."""
    return max(REFINED, math.ceil(LEAST_REFINED / k))


def outgrown(plan: SearchPlan, rows: int) -> bool:
    """Tells whether an index has so many more rows that its plan no longer suits it."""
    if plan.partitions == 0:
        return rows > EXACT_BELOW
    return rows > OUTGROWN * plan.rows


def make_plan(table: LanceTable) -> SearchPlan:
    """Builds what searching needs, for the rows that are there now, and measures its recall."""
    rows = table.count_rows()
    if rows <= EXACT_BELOW:
        return SearchPlan(rows=rows)
    from lancedb.index import IvfSq

    partitions = max(1, rows // PARTITION_ROWS)
    table.create_index(EMBEDDING, config=IvfSq(distance_type="cosine", num_partitions=partitions))
    return _measured(table, partitions, rows)


def _measured(table: LanceTable, partitions: int, rows: int) -> SearchPlan:
    """Chooses the fewest probes that find enough of what an exact search does."""
    chosen = np.random.default_rng(0).choice(rows, min(TRIED, rows), replace=False)
    own = table.take_offsets(sorted(chosen.tolist())).select([IMAGE, EMBEDDING]).to_arrow()
    images, queries = own[IMAGE].to_pylist(), vectors_of(own)
    truth = _nearest_to(table, images, queries)
    probes = min(partitions, max(8, math.ceil(math.sqrt(partitions))))
    while True:
        recall = _recall(table, images, queries, truth, probes)
        if recall >= WANTED_RECALL or probes == partitions:
            return SearchPlan(partitions, probes, rows, round(recall, 4))
        probes = min(partitions, 2 * probes)


def _nearest_to(table: LanceTable, images: list[str], queries: np.ndarray) -> list[set[str]]:
    """Finds the other rows nearest to each query in one pass over all."""
    best = np.full((len(queries), NEAREST + 1), -np.inf, dtype=np.float32)
    names = np.full((len(queries), NEAREST + 1), "", dtype=object)
    for batch in table.search().select([IMAGE, EMBEDDING]).to_batches(_SCANNED):
        scores = queries @ vectors_of(batch).T
        together = np.concatenate([best, scores], axis=1)
        labels = batch.column(IMAGE).to_numpy(zero_copy_only=False)
        order = np.argpartition(-together, NEAREST, axis=1)[:, : NEAREST + 1]
        before = best.shape[1]
        names = np.array(
            [
                [row_names[i] if i < before else labels[i - before] for i in row]
                for row, row_names in zip(order, names, strict=True)
            ],
            dtype=object,
        )
        best = np.take_along_axis(together, order, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    names = np.take_along_axis(names, order, axis=1)
    return [_others(row, image) for row, image in zip(names.tolist(), images, strict=True)]


def _recall(
    table: LanceTable, images: list[str], queries: np.ndarray, truth: list[set[str]], probes: int
) -> float:
    found = 0
    for image, query, wanted in zip(images, queries, truth, strict=True):
        rows: Any = (
            table.search(query, vector_column_name=EMBEDDING)
            .distance_type("cosine")
            .nprobes(probes)
            .refine_factor(refine_factor(NEAREST + 1))
            .limit(NEAREST + 1)
            .select([IMAGE, "_distance"])
            .to_arrow()
        )
        found += len(_others(rows[IMAGE].to_pylist(), image) & wanted)
    return found / sum(len(wanted) for wanted in truth)


def _others(names: list[str], image: str) -> set[str]:
    """Returns the nearest rows but the query itself, which any search would find."""
    return set([name for name in names if name != image][:NEAREST])
