"""What a collection holds: how many images of what, from where, and under which licence."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from herbzoo.data.licences import LicenceRollUp, dataset_terms, licence_column, roll_up
from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.data.tail import Tail, tail_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_VERSION = 1
DOMAINS = {HERBARIUM: "herbarium", FIELD: "field"}
"""What the values of `basisOfRecord` that make a domain are called."""
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Group:
    """The images that share a value of a column."""

    value: str
    images: int
    species: int


@dataclass(frozen=True)
class SpeciesCount:
    """One species and its images."""

    scientificName: str
    scientificNameAuthorship: str
    genus: str
    family: str
    images: int
    herbarium: int
    """Images of sheets."""
    field: int
    """Photos of the living plant."""


@dataclass(frozen=True)
class Pairs:
    """The species by the domains they have images of."""

    both: tuple[str, ...]
    herbarium_only: tuple[str, ...]
    field_only: tuple[str, ...]
    neither: tuple[str, ...]
    """Species of which no image says its domain."""


@dataclass(frozen=True)
class Specimens:
    """Images, specimens and gatherings, as far as the records tell them apart."""

    identified_images: int
    """Images with an `occurrenceID`."""
    specimens: int
    most_images: int
    """Images of the specimen that has most."""
    numbered_images: int
    """Images with a collector and a number."""
    gatherings: int
    """Different collectors, numbers and dates among these, as they are written; splits also join
    other spellings of them."""


@dataclass(frozen=True)
class TrainRows:
    """What a training would see of the collection."""

    images: int
    species: int
    tail: Tail | None
    pairs: Pairs
    test_species_unseen: tuple[str, ...]
    """Species of test rows that no train row is of."""


@dataclass(frozen=True)
class Description:
    """What a collection holds; groups and species are most frequent first."""

    name: str
    reader: str
    images: int
    """Rows."""
    files: int
    """Different images among them."""
    unnamed: int
    """Rows without a scientific name."""
    skipped: int
    """Rows that were left out on reading."""
    species: tuple[SpeciesCount, ...]
    genera: tuple[Group, ...]
    families: tuple[Group, ...]
    domains: tuple[Group, ...]
    institutions: tuple[Group, ...]
    split_column: str
    splits: tuple[Group, ...]
    without_genus: tuple[str, ...]
    """Species whose genus no row gives."""
    without_family: tuple[str, ...]
    tail: Tail | None
    pairs: Pairs
    train: TrainRows | None
    """None where no row is marked train."""
    specimens: Specimens
    licences: LicenceRollUp
    terms: tuple[str, ...]
    """What is known of the terms of this data set as a whole."""

    def to_dict(self) -> dict[str, Any]:
        """Returns what `description.json` holds."""
        document = asdict(self)
        document["licences"] = [
            {**asdict(count.licence), "images": count.images} for count in self.licences.counts
        ]
        document["licence_notes"] = list(self.licences.sentences())
        return {"schema_version": SCHEMA_VERSION, **document}


def describe(collection: Collection, split_column: str | None = None) -> Description:
    """Counts what a collection holds; no image is opened.

    Args:
        collection: what to describe.
        split_column: the column with `train`, `validation` and `test`; by default `split`.

    Raises:
        DataError: if there is no such column.
    """
    column = split_column or "split"
    parts = collection.column(column)
    parts = parts.map({value: normalise_split(value) for value in parts.unique()})
    frame = collection.frame
    species = _species(frame)
    licences = licence_column(frame)
    return Description(
        name=collection.name,
        reader=str(collection.facts.get("reader", "")),
        images=len(frame),
        files=int(frame["image"].nunique()),
        unnamed=int((frame["scientificName"] == "").sum()),
        skipped=len(collection.skipped),
        species=_counts(species),
        genera=_groups(frame, frame["genus"]),
        families=_groups(frame, frame["family"]),
        domains=_groups(frame, _domain(frame)),
        institutions=_groups(frame, frame["institutionCode"]),
        split_column=column,
        splits=_groups(frame, parts),
        without_genus=_names(species, species["genus"] == ""),
        without_family=_names(species, species["family"] == ""),
        tail=tail_of(species["images"].to_numpy()),
        pairs=_pairs(species),
        train=_train(frame, parts),
        specimens=_specimens(frame),
        licences=roll_up(pd.Series([""] * len(frame)) if licences is None else licences),
        terms=dataset_terms(collection.facts),
    )


def _domain(frame: pd.DataFrame) -> pd.Series:
    return frame["basisOfRecord"].map(
        {value: domain_of(value) for value in frame["basisOfRecord"].unique()}
    )


def domain_of(basis: str) -> str:
    """Returns `herbarium` or `field` for a `basisOfRecord`, other values as they are."""
    flat = re.sub(r"[\W_]", "", basis).lower()  # GBIF's downloads say PRESERVED_SPECIMEN
    known = {value.lower(): name for value, name in DOMAINS.items()}
    return known.get(flat, basis.strip())


def _species(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a row a species, most frequent first, with its most usual facts."""
    named = frame[frame["scientificName"] != ""]
    codes, names = pd.factorize(named["scientificName"])
    domain = _domain(named)
    table = pd.DataFrame({"scientificName": np.asarray(names, dtype=object)})
    for column in ("scientificNameAuthorship", "genus", "family"):
        table[column] = _usual(named[column], codes, len(names))
    table["images"] = np.bincount(codes, minlength=len(names))
    for name in DOMAINS.values():
        inside = codes[(domain == name).to_numpy(dtype=bool)]
        table[name] = np.bincount(inside, minlength=len(names))
    return table.sort_values(["images", "scientificName"], ascending=[False, True])


def _usual(values: pd.Series, codes: np.ndarray, species: int) -> np.ndarray:
    """Returns the most frequent value of each species that is not empty, first by name if tied."""
    value_codes, found = pd.factorize(values, sort=True)
    distinct = np.asarray(found, dtype=object)
    present = np.isin(value_codes, np.flatnonzero(distinct != ""))
    pairs = pd.DataFrame({"species": codes[present], "value": value_codes[present]})
    counted = pairs.value_counts().rename("n").reset_index()
    counted = counted.sort_values(["species", "n", "value"], ascending=[True, False, True])
    counted = counted.drop_duplicates("species")
    usual = np.full(species, "", dtype=object)
    usual[counted["species"].to_numpy()] = distinct[counted["value"].to_numpy()]
    return usual


def _counts(species: pd.DataFrame) -> tuple[SpeciesCount, ...]:
    return tuple(SpeciesCount(*row) for row in species.itertuples(index=False, name=None))


def _groups(frame: pd.DataFrame, values: pd.Series) -> tuple[Group, ...]:
    """Counts images and species by value, those that state none last."""
    codes, distinct = pd.factorize(values)
    species, _ = pd.factorize(frame["scientificName"].where(frame["scientificName"] != "", None))
    images = np.bincount(codes, minlength=len(distinct))
    seen = pd.DataFrame({"value": codes, "species": species})[species >= 0].drop_duplicates()
    many = np.bincount(seen["value"], minlength=len(distinct))
    groups = [
        Group(str(value) or NOT_STATED, n, kinds)
        for value, n, kinds in zip(distinct, images.tolist(), many.tolist(), strict=True)
    ]
    return tuple(sorted(groups, key=lambda g: (g.value == NOT_STATED, -g.images, g.value)))


def _names(species: pd.DataFrame, chosen: pd.Series) -> tuple[str, ...]:
    return tuple(sorted(species.loc[chosen, "scientificName"].tolist()))


def _pairs(species: pd.DataFrame) -> Pairs:
    sheet, photo = species["herbarium"] > 0, species["field"] > 0
    return Pairs(
        both=_names(species, sheet & photo),
        herbarium_only=_names(species, sheet & ~photo),
        field_only=_names(species, ~sheet & photo),
        neither=_names(species, ~sheet & ~photo),
    )


def _train(frame: pd.DataFrame, parts: pd.Series) -> TrainRows | None:
    train = frame[parts == "train"]
    if train.empty:
        return None
    species = _species(train)
    test = set(frame.loc[parts == "test", "scientificName"]) - {""}
    return TrainRows(
        images=len(train),
        species=len(species),
        tail=tail_of(species["images"].to_numpy()),
        pairs=_pairs(species),
        test_species_unseen=tuple(sorted(test.difference(species["scientificName"]))),
    )


def _specimens(frame: pd.DataFrame) -> Specimens:
    stated = frame.loc[frame["occurrenceID"] != "", "occurrenceID"]
    images = stated.value_counts()
    numbered = frame[
        (frame["recordedBy"] != "") & frame["recordNumber"].str.contains(r"\d", regex=True)
    ]
    return Specimens(
        identified_images=len(stated),
        specimens=len(images),
        most_images=int(images.max()) if len(images) else 0,
        numbered_images=len(numbered),
        gatherings=len(numbered[["recordedBy", "recordNumber", "eventDate"]].drop_duplicates()),
    )


def shown_names(names: Sequence[str], shown: int = 6) -> str:
    """Returns the first names, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
