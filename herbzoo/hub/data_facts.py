"""What a card says of the rows that a model learned from and was tested on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo.data.corrections import FACT
from herbzoo.data.licences import dataset_terms, licence_column, roll_up
from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.data.splits import PARTS
from herbzoo.hub.data_citation import cited

if TYPE_CHECKING:
    import pandas as pd

    from herbzoo.data.splits import Split
    from herbzoo.recipe import DataRecipe

DOMAINS = {HERBARIUM: "herbarium sheets", FIELD: "field photos"}
"""What people call a `basisOfRecord`."""
NOT_STATED = "not stated"
SHOWN = 8
"""Institutions, countries and licences that are listed."""
REGIONS = ("country", "countryCode", "continent")
"""Darwin Core columns that say where a plant grew; the first that is filled is counted."""
MOST_CHECKED = 1_000_000
"""Rows up to which a training takes the time to look for leaks: about 40 seconds."""


def data_facts(split: Split, recipe: DataRecipe) -> dict[str, Any]:
    """Returns what there is to say of the data, in plain values.

    Args:
        split: the rows.
        recipe: what was asked for.
    """
    train = split.train
    facts = train.facts
    return {
        "name": data_name(train),
        "dataset": _hub_dataset(recipe.source),
        "commit": str(facts.get("commit", "")),
        "reader": str(facts.get("reader", "")),
        "synthetic": bool(facts.get("synthetic")),
        "rows": {part: _counted(getattr(split, part)) for part in PARTS},
        "domains": _ranked(train.column("basisOfRecord").map(domain_label)),
        "institutions": _ranked(train.column("institutionCode")),
        "regions": _regions(train),
        "licences": _licences(train),
        "terms": list(dataset_terms(facts)),
        "skipped": len(train.skipped),
        "citation": cited(recipe.source).to_dict(),
        "names": _names(facts.get("names_resolved")),
        **({"corrections": facts[FACT]} if FACT in facts else {}),
    }


def split_facts(split: Split) -> dict[str, Any]:
    """Returns how the rows were divided, and what the parts have in common all the same."""
    from herbzoo.data.leaks import find_leaks

    held = [split.validation, split.test]
    rows = sum(len(getattr(split, part)) for part in PARTS)
    telling = sum(int(_telling(part.frame).sum()) for part in held)
    checked = bool(telling) and rows <= MOST_CHECKED
    found = find_leaks(split) if checked else []
    return {
        "rule": split.rule,
        "left_out": split.left_out,
        "unknown_test": split.unknown_test,
        "held_out": sum(len(part) for part in held),
        "telling": telling,
        "checked": checked,
        "leaks": [
            {"kind": leak.kind, "part": leak.part, "rows": leak.test_rows, "share": leak.share}
            for leak in found
        ],
    }


def data_name(collection: Collection) -> str:
    """Returns what the data are called, without the path of somebody's disk."""
    facts = collection.facts
    if facts.get("synthetic"):
        return f"the synthetic flora of {facts['species']} species, seed {facts['seed']}"
    return shown_source(collection.name)


def shown_source(source: str) -> str:
    """Returns a Hub id as it is, and of a path its last part."""
    return source if _hub_dataset(source) else Path(source).name or source


def domain_label(basis: str) -> str:
    """Returns what people call a `basisOfRecord`; others than the two that matter as they are."""
    return DOMAINS.get(basis, basis)


def _hub_dataset(source: str) -> str:
    """Returns the source if it is a data set on the Hub, else ''."""
    from herbzoo.data.readers.arrow import is_hub_id

    there = Path(source).expanduser()
    return source if is_hub_id(source) and not there.exists() else ""


def _names(resolved: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if resolved is None:
        return None
    return {
        "table": str(resolved["table"]),
        "version": str(resolved["version"]),
        "counts": dict(resolved["counts"]),
        "ambiguous": len(resolved["ambiguous"]),
    }


def _telling(frame: pd.DataFrame) -> pd.Series:
    """Says of which rows the records could tell that they belong with others."""
    filled = frame[list(_KEYS)] != ""
    collected = filled["recordedBy"] & (filled["recordNumber"] | filled["eventDate"])
    return filled["occurrenceID"] | filled["catalogNumber"] | collected


_KEYS = ("occurrenceID", "catalogNumber", "recordedBy", "recordNumber", "eventDate")


def _counted(part: Collection) -> dict[str, Any]:
    frame = part.frame
    domains = part.column("basisOfRecord").map(domain_label)
    return {
        "images": len(part),
        "species": int(frame.loc[frame["scientificName"] != "", "scientificName"].nunique()),
        "specimens": int(frame.loc[frame["occurrenceID"] != "", "occurrenceID"].nunique()),
        "domains": {str(name): int(n) for name, n in domains.value_counts().items() if name},
    }


def _ranked(values: pd.Series) -> dict[str, Any]:
    """Counts values, the most frequent first; those not stated apart."""
    counts = values[values != ""].value_counts()
    ordered = sorted(((str(name), int(n)) for name, n in counts.items()), key=_by_count)
    return {
        "top": [{"name": name, "images": images} for name, images in ordered[:SHOWN]],
        "all": len(ordered),
        "not_stated": int((values == "").sum()),
    }


def _by_count(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _regions(train: Collection) -> dict[str, Any] | None:
    for column in REGIONS:
        if column in train.frame.columns and (train.frame[column] != "").any():
            return {"column": column, **_ranked(train.column(column))}
    return None


def _licences(train: Collection) -> dict[str, Any]:
    column = licence_column(train.frame)
    if column is None:
        return {"top": [], "all": 0, "sentences": [], "non_commercial": 0, "no_derivatives": 0}
    found = roll_up(column)
    return {
        "top": [
            {"name": count.licence.name, "images": count.images} for count in found.counts[:SHOWN]
        ],
        "all": len(found.counts),
        "sentences": list(found.sentences()),
        **{
            key: sum(c.images for c in found.counts if element in c.licence.elements)
            for key, element in (("non_commercial", "NC"), ("no_derivatives", "ND"))
        },
    }
