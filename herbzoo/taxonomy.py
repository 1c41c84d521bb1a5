"""The taxa a model knows: names with their ranks and ids, and the roll-up to genus and family."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo.errors import DataError, RunError
from herbzoo.interfaces import LabelFacts

if TYPE_CHECKING:
    import numpy as np

    from herbzoo.data.records import Collection

SCHEMA_VERSION = 1
FILE_NAME = "taxonomy.json"
BEFORE_REMAP = "taxonomy-before-remap.json"
"""In a remapped run, the classes that its head was trained on."""
RANKS = ("species", "genus", "family")
DESCRIBING = ("vernacularName", "traits")
"""Columns of a collection that say more of a taxon than its name."""
LATER = ("status", "synonyms", *DESCRIBING)
"""Columns that the first version of the file does not have."""


@dataclass(frozen=True)
class Taxon:
    """A class of a model, in Darwin Core terms."""

    scientificName: str
    scientificNameAuthorship: str = ""
    genus: str = ""
    family: str = ""
    taxonID: str = ""
    count: int = 0
    """Training images."""
    status: str = ""
    """What the name table says of the name; '' if none was asked. `accepted`: it is the accepted
    name of a table; `ambiguous`, `unplaced` or `unmatched`: the name was left as it is."""
    synonyms: tuple[str, ...] = ()
    """Other names under which the taxon was found in the data."""
    vernacularName: str = ""
    traits: str = ""
    """What it looks like, in words."""

    def at_rank(self, rank: str) -> str:
        """Returns the name of this taxon at `species`, `genus` or `family`; '' if not known."""
        return self.scientificName if rank == "species" else getattr(self, rank)


@dataclass(frozen=True)
class NameTableFacts:
    """The table of names that a taxonomy follows."""

    name: str
    """What kind of table, such as `WCVP`."""
    version: str
    """As the user stated it, else a digest of the file."""


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a model in their order; `taxonomy.json` is their source of truth."""

    taxa: tuple[Taxon, ...]
    schema_version: int = SCHEMA_VERSION
    name_table: NameTableFacts | None = None
    """The table that its names were resolved with."""

    def __len__(self) -> int:
        """Returns the number of classes."""
        return len(self.taxa)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Class index by scientific name, and by synonyms that belong to one taxon only."""
        own = {taxon.scientificName: position for position, taxon in enumerate(self.taxa)}
        of: dict[str, set[int]] = {}
        for position, taxon in enumerate(self.taxa):
            for synonym in taxon.synonyms:
                of.setdefault(synonym, set()).add(position)
        return {name: position for name, (position, *more) in of.items() if not more} | own

    def labels_in_order(self) -> list[str]:
        """Returns the name of each class; of homonyms all but the last have their authors."""
        return [
            taxon.scientificName
            if self.index[taxon.scientificName] == position
            else f"{taxon.scientificName} {taxon.scientificNameAuthorship}".strip()
            for position, taxon in enumerate(self.taxa)
        ]

    @classmethod
    def from_collection(cls, collection: Collection) -> Taxonomy:
        """Collects the named taxa of the rows, sorted by name, each with its most common facts.

        Raises:
            DataError: if no row has a name.
        """
        import pandas as pd

        facts = ["scientificNameAuthorship", "genus", "family", "taxonID"]
        facts += [name for name in DESCRIBING if name in collection.frame]
        named = collection.frame[collection.frame["scientificName"] != ""]
        if named.empty:
            raise DataError(f"{collection.name} names no species, so there is nothing to learn")
        counts = named["scientificName"].value_counts()
        grouped = named.groupby("scientificName", sort=True)

        def most_common(column: str) -> pd.Series:
            present = named[named[column] != ""]
            pairs = present.groupby(["scientificName", column]).size().reset_index(name="n")
            # Ties go to the alphabetically first, so that the row order does not matter.
            pairs = pairs.sort_values(
                ["scientificName", "n", column], ascending=[True, False, True]
            )
            return pairs.drop_duplicates("scientificName").set_index("scientificName")[column]

        table = pd.DataFrame({column: most_common(column) for column in facts})
        table = table.reindex(list(grouped.groups)).fillna("")
        table["count"] = counts
        rows = table.itertuples(name=None)
        taxa = tuple(
            Taxon(**dict(zip(("scientificName", *table), row, strict=True))) for row in rows
        )
        resolved = collection.facts.get("names_resolved")
        return cls(taxa) if resolved is None else _resolved(taxa, resolved)

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Taxonomy:
        """Makes a taxonomy of bare names; the genus is the first word of each."""
        unique = dict.fromkeys(name.strip() for name in names if name.strip())
        return cls(tuple(Taxon(name, genus=name.split()[0]) for name in unique))

    def labels(self) -> LabelFacts:
        """Returns what a head may know of the classes."""
        return LabelFacts(
            names=tuple(taxon.scientificName for taxon in self.taxa),
            authorships=tuple(taxon.scientificNameAuthorship for taxon in self.taxa),
            genera=tuple(taxon.genus for taxon in self.taxa),
            families=tuple(taxon.family for taxon in self.taxa),
            counts=tuple(taxon.count for taxon in self.taxa),
            synonyms=tuple(taxon.synonyms for taxon in self.taxa),
            vernaculars=tuple(taxon.vernacularName for taxon in self.taxa),
            traits=tuple(taxon.traits for taxon in self.taxa),
        )

    def roll_up(self, probabilities: np.ndarray, rank: str) -> tuple[list[str], np.ndarray]:
        """Sums class probabilities to a rank.

        Args:
            probabilities: `[N, C]`.
            rank: `species`, `genus` or `family`.

        Returns:
            The names at that rank, sorted ('' where a taxon has none), and `[N, names]`.
        """
        import numpy as np

        if rank == "species":
            return [taxon.scientificName for taxon in self.taxa], probabilities
        names = [taxon.at_rank(rank) for taxon in self.taxa]
        groups, position = np.unique(names, return_inverse=True)
        together = np.argsort(position, kind="stable")
        starts = np.searchsorted(position[together], np.arange(len(groups)))
        return groups.tolist(), np.add.reduceat(probabilities[:, together], starts, axis=1)

    def save(self, folder: Path, file_name: str = FILE_NAME) -> None:
        """Writes `taxonomy.json`; columns rather than rows, which is a third of the size.

        What came later stands beside `taxa`, where readers of the first version pass over it.
        """
        columns = {
            name: [getattr(taxon, name) for taxon in self.taxa]
            for name in (f.name for f in fields(Taxon))
        }
        later = {name: columns.pop(name) for name in LATER}
        document: dict[str, Any] = {"schema_version": self.schema_version, "taxa": columns}
        document |= {name: values for name, values in later.items() if any(values)}
        if self.name_table is not None:
            document["name_table"] = asdict(self.name_table)
        text = json.dumps(document, ensure_ascii=False, indent=1)
        (folder / file_name).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, file_name: str = FILE_NAME) -> Taxonomy:
        """Reads `taxonomy.json`.

        Raises:
            RunError: if it is missing, damaged, or from a newer herbzoo.
        """
        path = folder / file_name
        if not path.is_file():
            raise RunError(f"{folder} has no {file_name}, so its classes have no names")
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            version, columns = int(document["schema_version"]), dict(document["taxa"])
            if version > SCHEMA_VERSION:
                raise RunError(
                    f"{path} has schema {version}, this herbzoo reads up to {SCHEMA_VERSION}: "
                    "pip install --upgrade herbzoo"
                )
            columns |= {name: document[name] for name in LATER if name in document}
            if "synonyms" in columns:
                columns["synonyms"] = [tuple(map(str, names)) for names in columns["synonyms"]]
            rows = zip(*columns.values(), strict=True)
            taxa = tuple(Taxon(**dict(zip(columns, row, strict=True))) for row in rows)
            table = document.get("name_table")
            return cls(taxa, name_table=None if table is None else NameTableFacts(**table))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged: {type(error).__name__} {error}") from error

    @classmethod
    def load_trained(cls, folder: Path) -> Taxonomy:
        """Reads the classes that the head of a run was trained on, which a remap may have merged.

        Raises:
            RunError: as `load`.
        """
        remapped = (folder / BEFORE_REMAP).is_file()
        return cls.load(folder, BEFORE_REMAP if remapped else FILE_NAME)


def _resolved(taxa: tuple[Taxon, ...], facts: Mapping[str, Any]) -> Taxonomy:
    """Adds what resolving the names of a collection has found (`herbzoo.data.name_resolution`)."""
    unresolved, synonyms = facts["unresolved"], facts["synonyms"]
    return Taxonomy(
        tuple(
            replace(
                taxon,
                status=unresolved.get(taxon.scientificName, "accepted"),
                synonyms=tuple(synonyms.get(taxon.scientificName, ())),
            )
            for taxon in taxa
        ),
        name_table=NameTableFacts(str(facts["table"]), str(facts["version"])),
    )
