"""Names that a model was not trained on, and rows ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from herbzoo.data.records import Collection
from herbzoo.retargeting import aim
from herbzoo.taxonomy import Taxonomy

if TYPE_CHECKING:
    from herbzoo.inference import Identifier


def reads_names(identifier: Identifier) -> bool:
    """Says whether a model can be given names that it was not trained on."""
    return bool(getattr(identifier.model.head, "reads_names", False))


def add_names_of(identifier: Identifier, rows: Collection) -> int:
    """Gives a model that reads names those species of some rows that it does not know.

    Its calibration, which is of fewer names, is dropped if there are any.

    Args:
        identifier: the model, which is changed.
        rows: labelled; of the labels the names are read, and what is said of these species, and
            not of which rows they are.

    Returns:
        How many species were added.

    Raises:
        HerbzooError: if the model can make nothing of one of the names.
    """
    own = identifier.taxonomy
    names = rows.column("scientificName")
    strange = rows.select((~names.isin(set(own.index)) & (names != "")).to_numpy(dtype=bool))
    if not len(strange):
        return 0
    added = tuple(replace(taxon, count=0) for taxon in Taxonomy.from_collection(strange).taxa)
    taxonomy = replace(own, taxa=own.taxa + added)
    aim(identifier, taxonomy, f"the species of {rows.name}")
    return len(added)
