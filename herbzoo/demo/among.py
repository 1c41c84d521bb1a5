"""Choosing among the taxa of a list: of those a model knows, or of any if its head reads names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from herbzoo.data.taxa_list import TaxaList, rank_of, taxa_of
from herbzoo.errors import DataError, HerbzooError
from herbzoo.retargeting import taxonomy_for
from herbzoo.taxonomy import Taxonomy

MOST = 20_000
"""Names that a list may have."""
_SHOWN = 5


@dataclass(frozen=True)
class Among:
    """The taxa to choose among."""

    name: str
    """What the list is called."""
    taxonomy: Taxonomy
    positions: np.ndarray | None
    """Where these taxa are among the model's classes `[taxa]`; None if it is aimed at their names,
    which it need not have learned."""
    notes: tuple[str, ...] = ()
    """What a user should know, a line each."""


def pasted(text: str) -> TaxaList | None:
    """Reads names that were pasted, one a line; what follows a `#` is a comment.

    Returns:
        None if there are none.

    Raises:
        DataError: if there are more than `MOST`, or none of them is a name.
    """
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    names = [line for line in lines if line]
    if not names:
        return None
    if len(names) > MOST:
        raise DataError(
            f"{len(names):,} names are too many, the limit is {MOST:,}: shorten the list"
        )
    return taxa_of(names)


def among(listed: TaxaList, known: Taxonomy, reads_names: bool) -> Among:
    """Finds the taxa of a list among those of a model.

    Args:
        listed: the list; a genus or family stands for all its species that the model knows, unless
            the model reads names.
        known: the classes of the model.
        reads_names: whether the model can choose among others too.

    Raises:
        HerbzooError: if the model knows none of them, and cannot read names.
    """
    if reads_names:
        taxonomy, notes = taxonomy_for(listed.taxa, known)
        new = [taxon.scientificName for taxon in taxonomy.taxa if not taxon.count]
        if new:
            notes.append(f"without a picture in training: {_first(new)}")
        return Among(listed.name, taxonomy, None, tuple(notes))
    positions: set[int] = set()
    unknown: list[str] = []
    notes = []
    species = [taxon for taxon in listed.taxa if rank_of(taxon) == "species"]
    if species:
        found, notes = taxonomy_for(species, known)
        for taxon in found.taxa:
            place = known.index.get(taxon.scientificName)
            if place is None:
                unknown.append(taxon.scientificName)
            else:
                positions.add(place)
    for taxon in listed.taxa:
        rank = rank_of(taxon)
        if rank != "species":
            own = {
                n for n, one in enumerate(known.taxa) if one.at_rank(rank) == taxon.scientificName
            }
            positions |= own
            unknown += [] if own else [taxon.scientificName]
    if not positions:
        raise HerbzooError(
            f"the model knows none of the {len(listed):,} names of the list: it chooses only among "
            "the taxa it has learned"
        )
    if unknown:
        notes.append(f"not known to the model: {_first(unknown)}")
    order = np.array(sorted(positions), dtype=np.int64)
    taxonomy = Taxonomy(tuple(known.taxa[place] for place in order))
    return Among(listed.name, taxonomy, order, tuple(notes))


def _first(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
