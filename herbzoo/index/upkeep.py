"""Keeping an index quick: sorting added rows in, putting small commits together.

LanceDB's `optimize` also rewrites an index of vectors, which then finds less: on a million made-up
vectors 86% of what it had found before, with nothing added. So it is run without one, and the index
is made anew.
"""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from herbzoo.index.database import SearchPlan
from herbzoo.index.embedding_table import EMBEDDING
from herbzoo.index.scalar_indexes import index_columns
from herbzoo.index.search_plan import make_plan, outgrown

if TYPE_CHECKING:
    from lancedb.index import IndexConfig
    from lancedb.table import LanceTable

MANY_UNSORTED = 20_000
"""Rows added since that are worth sorting in: until then a search looks at each of them."""
MANY_FRAGMENTS = 200
"""Commits of rows that are worth putting together."""


def unsorted_rows(table: LanceTable) -> int:
    """Returns how many rows the index of the vectors does not know yet."""
    index = _vector_index(table)
    statistics = None if index is None else table.index_stats(index.name)
    return 0 if statistics is None else int(statistics.num_unindexed_rows)


def finish(table: LanceTable) -> SearchPlan:
    """Puts the commits of a build together, makes all indexes, and chooses how to search.

    Nobody else reads or writes yet, so that what a killed build left can go.
    """
    return _put_in_order(table, timedelta(0), alone=True)


def settle(table: LanceTable, plan: SearchPlan) -> SearchPlan:
    """Does what is due after a change, and returns how to search now."""
    counted: Any = table.stats()  # a dict, whatever its type says
    due = (
        outgrown(plan, table.count_rows())
        or unsorted_rows(table) > MANY_UNSORTED
        or counted["fragment_stats"]["num_fragments"] > MANY_FRAGMENTS
    )
    return _put_in_order(table) if due else plan


def _put_in_order(
    table: LanceTable, age: timedelta | None = None, *, alone: bool = False
) -> SearchPlan:
    if index := _vector_index(table):
        table.drop_index(index.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about readers of older versions; there are none
        table.optimize(cleanup_older_than=age, delete_unverified=alone)
    index_columns(table)
    return make_plan(table)


def _vector_index(table: LanceTable) -> IndexConfig | None:
    return next((one for one in table.list_indices() if one.columns == [EMBEDDING]), None)
