"""Building an index: a table, its rows, its indexes; interrupted anywhere, it can be repeated."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from herbzoo.data.records import ImageSource
from herbzoo.errors import RunError
from herbzoo.index.database import IndexFacts, begin_table, find_table, model_of, reported, writing
from herbzoo.index.embedding_table import EmbeddingTable
from herbzoo.index.intake import Intake, Progress
from herbzoo.index.specimen_rows import RowShape
from herbzoo.index.upkeep import finish

if TYPE_CHECKING:
    from lancedb.table import LanceTable

_log = logging.getLogger(__name__)


def build(
    where: str,
    source: EmbeddingTable,
    facts: IndexFacts,
    images: ImageSource | None,
    progress: Progress,
) -> None:
    """Builds an index, or goes on with one whose building was interrupted.

    Args:
        where: as `place_of` gives it.
        source: the rows.
        facts: what the index is to say of itself.
        images: to make thumbnails from.
        progress: told how many more rows are done.

    Raises:
        RunError: if there is an index already, of another model, or another process builds it.
    """
    with writing(where), reported(where):
        table = _begun(where, source, facts)
        kept = images if facts.thumbnails == "kept" else None
        added = Intake(table, source, kept, progress).fill(where)
        replace(facts, complete=True, plan=finish(table)).keep(table)
    if added.repeated:
        _log.warning(
            "%s: %s rows are left out, because another row before them has the same image",
            source.where,
            f"{added.repeated:,}",
        )


def _begun(where: str, source: EmbeddingTable, facts: IndexFacts) -> LanceTable:
    """Opens what an interrupted build left, or begins a table."""
    table = find_table(where)
    if table is None:
        return begin_table(where, RowShape.of(source.columns, source.model).schema, facts)
    model_of(table, where).check_same(source.model, where)
    begun = IndexFacts.of(table, where)
    if begun.complete:
        raise RunError(
            f"{where} is an index already: add to it with `herbzoo index add`, delete it, or "
            "choose another place"
        )
    if (begun.thumbnails, begun.images) != (facts.thumbnails, facts.images):
        raise RunError(
            f"{where} was begun with --thumbnails {begun.thumbnails}: give the same options, or "
            "delete it"
        )
    return table
