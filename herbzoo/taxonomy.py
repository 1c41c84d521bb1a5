"""The taxa a model knows: names with their ranks and ids, and the roll-up to genus and family."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
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
RANKS = ("species", "genus", "family")


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

    def at_rank(self, rank: str) -> str:
        """Returns the name of this taxon at `species`, `genus` or `family`; '' if not known."""
        return self.scientificName if rank == "species" else getattr(self, rank)


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a model in their order; `taxonomy.json` is their source of truth."""

    taxa: tuple[Taxon, ...]
    schema_version: int = SCHEMA_VERSION

    def __len__(self) -> int:
        """Returns the number of classes."""
        return len(self.taxa)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Class index by scientific name."""
        return {taxon.scientificName: position for position, taxon in enumerate(self.taxa)}

    @classmethod
    def from_collection(cls, collection: Collection) -> Taxonomy:
        """Collects the named taxa of the rows, sorted by name, each with its most common facts.

        Raises:
            DataError: if no row has a name.
        """
        import pandas as pd

        facts = ["scientificNameAuthorship", "genus", "family", "taxonID"]
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
        return cls(tuple(Taxon(*row) for row in table.itertuples(name=None)))

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

    def save(self, folder: Path) -> None:
        """Writes `taxonomy.json`; columns rather than rows, which is a third of the size."""
        columns = {
            name: [getattr(taxon, name) for taxon in self.taxa]
            for name in (f.name for f in fields(Taxon))
        }
        document = {"schema_version": self.schema_version, "taxa": columns}
        text = json.dumps(document, ensure_ascii=False, indent=1)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Taxonomy:
        """Reads `taxonomy.json`.

        Raises:
            RunError: if it is missing, damaged, or from a newer herbzoo.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise RunError(f"{folder} has no {FILE_NAME}, so its classes have no names")
        try:
            document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version, columns = int(document["schema_version"]), dict(document["taxa"])
            if version > SCHEMA_VERSION:
                raise RunError(
                    f"{path} has schema {version}, this herbzoo reads up to {SCHEMA_VERSION}: "
                    "pip install --upgrade herbzoo"
                )
            rows = zip(*columns.values(), strict=True)
            return cls(tuple(Taxon(**dict(zip(columns, row, strict=True))) for row in rows))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged: {type(error).__name__} {error}") from error
