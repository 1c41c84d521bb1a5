"""Decisions of people, applied to the names of a collection before it is learned from.

A row is found by its image, else by its occurrenceID, else by institutionCode and catalogNumber;
the other images of the same specimen go with it. A decision counts only for rows that still bear
the name it was about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.data.decisions import REJECT, UNSURE, Decision
from herbzoo.data.name_resolution import VERBATIM
from herbzoo.data.records import Collection
from herbzoo.data.splits import PARTS, Split
from herbzoo.errors import DataError
from herbzoo.names import parse_name

if TYPE_CHECKING:
    import pandas as pd

FACT = "names_corrected"
"""Key of a collection's facts that holds what became of the decisions."""
_TAXON = ("scientificName", "scientificNameAuthorship", "genus", "family", "taxonID")
_DESCRIBED = ("vernacularName", "traits")
"""Columns that a collection may have beside, which describe the taxon and not the specimen."""
_BETWEEN = "\x1f"


@dataclass(frozen=True)
class Corrected:
    """What became of some decisions; rows unless it says otherwise."""

    renamed: int = 0
    left_out: int = 0
    """That are of no known species, or that reviewers are unsure of."""
    unsure: int = 0
    """Those of `left_out` that reviewers are unsure of."""
    test_renamed: int = 0
    """Those of `renamed` that are tested on."""
    test_left_out: int = 0
    stale: int = 0
    """Decisions about names that their rows do not bear any more."""
    not_found: int = 0
    """Decisions whose rows are not there."""
    disputed: int = 0
    """Decisions in which reviewers contradict each other; they count as unsure."""

    def __str__(self) -> str:
        """Returns the numbers in a line."""
        said = [f"{self.renamed:,} renamed", f"{self.left_out:,} left out"]
        if self.unsure:
            said[-1] += f" ({self.unsure:,} as reviewers are unsure)"
        if self.disputed:
            said.append(f"{_of(self.disputed)} disputed")
        if self.stale:
            said.append(f"{_of(self.stale)} about a name that changed since")
        if self.not_found:
            said.append(f"{_of(self.not_found)} not found")
        if self.test_renamed or self.test_left_out:
            said.append(
                f"of the test rows {self.test_renamed:,} renamed and {self.test_left_out:,} left "
                "out, so that figures are not those of before"
            )
        return ", ".join(said)


def told(facts: Mapping[str, Any]) -> str:
    """Returns the numbers of a collection's facts in a line."""
    return str(Corrected(**{field.name: facts.get(field.name, 0) for field in fields(Corrected)}))


def _of(number: int) -> str:
    return f"{number:,} decision{'' if number == 1 else 's'}"


def correct_collection(
    collection: Collection, decisions: Sequence[Decision]
) -> tuple[Collection, Corrected]:
    """Applies decisions to a collection that is learned from as a whole.

    Args:
        collection: rows.
        decisions: one a case (`herbzoo.data.decisions.read_decisions`).

    Raises:
        DataError: if nothing is left.
    """
    applied = _Applied(collection.frame, decisions)
    keep = np.ones(len(collection), dtype=bool)
    keep[applied.out + applied.unsure] = False
    if not keep.any():
        raise DataError(f"the decisions leave nothing of {collection.name} to learn from")
    changed = replace(collection, frame=applied.renamed_frame(collection.frame)).select(keep)
    counts = replace(
        applied.counts,
        renamed=len(applied.names),
        left_out=len(applied.out) + len(applied.unsure),
        unsure=len(applied.unsure),
    )
    return changed, counts


def correct_split(split: Split, decisions: Sequence[Decision]) -> tuple[Split, Corrected]:
    """Applies decisions to a collection that was split before, so that no row changes its part.

    Rows that reviewers are unsure of are left out of training and validation, and stay in test.

    Args:
        split: rows under the names that they had.
        decisions: one a case.

    Raises:
        DataError: if nothing is left to train on.
    """
    import pandas as pd

    parts = [getattr(split, name) for name in PARTS]
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    of_part = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    is_test = of_part == PARTS.index("test")
    applied = _Applied(frame, decisions)
    frame = applied.renamed_frame(frame)
    unsure = [row for row in applied.unsure if not is_test[row]]
    keep = np.ones(len(frame), dtype=bool)
    keep[applied.out + unsure] = False
    changed = [
        replace(part, frame=frame[keep & (of_part == place)].reset_index(drop=True))
        for place, part in enumerate(parts)
    ]
    if not len(changed[0]):
        raise DataError("the decisions leave nothing to train on")
    counts = replace(
        applied.counts,
        renamed=len(applied.names),
        left_out=len(applied.out) + len(unsure),
        unsure=len(unsure),
        test_renamed=int(is_test[list(applied.names)].sum()),
        test_left_out=int(is_test[applied.out].sum()),
    )
    train, validation, test = changed
    return replace(split, train=train, validation=validation, test=test), counts


class _Applied:
    """What decisions mean for the rows of a table.

    Attributes:
        names: the new columns of rows that are renamed.
        out: rows that bear a name and are of no known species.
        unsure: rows that reviewers are unsure of.
    """

    def __init__(self, frame: pd.DataFrame, decisions: Sequence[Decision]) -> None:
        self.names: dict[int, dict[str, str]] = {}
        out: set[int] = set()
        unsure: set[int] = set()
        self._frame = frame
        self._terms = (*_TAXON, *(term for term in _DESCRIBED if term in frame))
        rows = _Rows(frame, decisions)
        numbers: Counter[str] = Counter()
        for one in decisions:
            found = rows.of(one)
            bearing = [row for row in found if rows.bears(row, one.previousScientificName)]
            numbers["not_found"] += not found
            numbers["stale"] += bool(found) and not bearing
            numbers["disputed"] += one.disputed
            if one.decision == UNSURE:
                unsure.update(bearing)
            elif one.decision != REJECT and (taxon := self._taxon(one)) is not None:
                self.names |= dict.fromkeys(bearing, taxon)
            elif one.decision != REJECT:
                out.update(bearing)
        self.out, self.unsure = sorted(out), sorted(unsure - out)
        for row in out | unsure:
            self.names.pop(row, None)
        self.counts = Corrected(**numbers)

    def _taxon(self, one: Decision) -> dict[str, str] | None:
        """Returns the columns of the name after a decision, or None if it is no species."""
        name, authorship, genus = one.scientificName, one.scientificNameAuthorship, one.genus
        if name not in self._known:
            parsed = parse_name(name)
            if parsed.problem or " " not in parsed.name:
                return None
            name, genus = parsed.name, genus or parsed.genus
            authorship = authorship or parsed.authorship
        values = (name, authorship, genus, one.family, one.taxonID)
        stated = dict.fromkeys(self._terms, "") | dict(zip(_TAXON, values, strict=True))
        known = self._known.get(name, {})  # as rows of one species say one thing
        if not known and not stated["family"]:
            stated["family"] = self._family_of(genus)
        return {term: known.get(term) or value for term, value in stated.items()}

    @cached_property
    def _known(self) -> Mapping[str, dict[str, str]]:
        """The columns of each name that rows bear, as the first row says them that says them."""
        found: dict[str, dict[str, str]] = {}
        columns = self._frame[list(self._terms)].drop_duplicates()
        for values in columns.itertuples(index=False):
            if values[0]:
                stated = found.setdefault(values[0], dict.fromkeys(self._terms, ""))
                for term, value in zip(self._terms, values, strict=True):
                    stated[term] = stated[term] or value
        return found

    def _family_of(self, genus: str) -> str:
        of_genus = self._frame.loc[self._frame["genus"] == genus, "family"]
        families = set(of_genus) - {""}
        return families.pop() if genus and len(families) == 1 else ""

    def renamed_frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Returns the table with the new names."""
        import pandas as pd

        frame = frame.copy()
        rows = list(self.names)
        for term in self._terms:
            values = frame[term].to_numpy(dtype=object, copy=True)
            values[rows] = [self.names[row][term] for row in rows]
            frame[term] = pd.Series(values, index=frame.index, dtype=frame[term].dtype)
        return frame


class _Rows:
    """Finds the rows that decisions are about, in one pass over each column."""

    def __init__(self, frame: pd.DataFrame, decisions: Iterable[Decision]) -> None:
        self._name = frame["scientificName"].to_numpy()
        self._verbatim = frame[VERBATIM].to_numpy() if VERBATIM in frame else self._name
        self._occurrence = frame["occurrenceID"].to_numpy()
        catalogue = frame["institutionCode"] + _BETWEEN + frame["catalogNumber"]
        stated = (frame["institutionCode"] != "") & (frame["catalogNumber"] != "")
        self._catalogue = catalogue.where(stated, "").to_numpy()
        asked = [asdict(one) for one in decisions]
        self._by_image = _positions(frame["image"].to_numpy(), {one["image"] for one in asked})
        seen = [row for rows in self._by_image.values() for row in rows]
        self._decided = set(seen)
        occurrences = {one["occurrenceID"] for one in asked} | set(self._occurrence[seen])
        self._by_occurrence = _positions(self._occurrence, occurrences)
        numbers = {_catalogue_of(one) for one in asked} | set(self._catalogue[seen])
        self._by_catalogue = _positions(self._catalogue, numbers)

    def of(self, one: Decision) -> list[int]:
        """Returns the rows of the specimen that a decision is about.

        An image that has a decision of its own does not follow that of another image.
        """
        images = self._by_image.get(one.image, [])
        if not images:
            found = self._by_occurrence.get(one.occurrenceID)
            return found or self._by_catalogue.get(_catalogue_of(asdict(one)), [])
        rows = dict.fromkeys(images)
        for row in images:
            same = self._by_occurrence.get(self._occurrence[row])
            same = same or self._by_catalogue.get(self._catalogue[row], [])
            rows |= dict.fromkeys(row for row in same if row not in self._decided)
        return list(rows)

    def bears(self, row: int, name: str) -> bool:
        """Tells whether a row has a name now, or had it before its names were resolved."""
        return name in (self._name[row], self._verbatim[row])


def _positions(values: Any, wanted: set[str]) -> dict[str, list[int]]:
    """Returns where wanted values are; '' is nowhere."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    wanted = wanted - {""}
    for row, value in enumerate(values):
        if value in wanted:
            found[value].append(row)
    return dict(found)


def _catalogue_of(one: Mapping[str, Any]) -> str:
    number, institution = one["catalogNumber"], one["institutionCode"]
    return f"{institution}{_BETWEEN}{number}" if number and institution else ""
