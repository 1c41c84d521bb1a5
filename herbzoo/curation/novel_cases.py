"""Unknown, misnamed and bad images as cases for people to decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from herbzoo.curation.case import (
    BAD_IMAGE,
    MISNAMED,
    UNKNOWN,
    Case,
    NearSheet,
    Proposal,
    candidate_of,
    case_id,
)
from herbzoo.curation.case_files import NEAR, NEAR_OTHERS
from herbzoo.curation.clusters import Cluster, KnownPlaces
from herbzoo.curation.conformal import least_specimens
from herbzoo.curation.image_quality import FAULTS
from herbzoo.curation.linkage import place
from herbzoo.curation.named_rows import UNNAMED
from herbzoo.curation.novelty import Novelty
from herbzoo.data.records import COLUMNS, ImageSource, SpecimenRecord

if TYPE_CHECKING:
    from PIL.Image import Image

NOTED = ("identificationQualifier", "dateIdentified", "typeStatus", "locality", "country")
"""Columns that a reviewer wants to see beside those of a record."""
KNOWN_PREFIX = "known specimens: "
"""Before the key of an image that is none of those asked about."""


@dataclass(frozen=True)
class WithKnown:
    """The images asked about, and those of the known specimens under keys with a prefix."""

    asked: ImageSource
    known: ImageSource

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes an image of either."""
        if key.startswith(KNOWN_PREFIX):
            return self.known.open(key.removeprefix(KNOWN_PREFIX), min_size)
        return self.asked.open(key, min_size)


class NovelCases:
    """Makes cases of what was found.

    Args:
        found: among some images.
        places: of the known images.
        clusters: of the unknown ones.
    """

    def __init__(self, found: Novelty, places: KnownPlaces, clusters: Sequence[Cluster]) -> None:
        self._found, self._places = found, places
        self._cluster = {row: cluster for cluster in clusters for row in cluster.rows}
        self._domain = found.rows.collection.frame["basisOfRecord"].tolist()
        enough = found.held.domains(least_specimens(found.rate))
        self._of_any = bool(enough) and "" not in enough
        # Asked again for each image, of which there may be many.
        self._specimens = cache(found.held.specimens)
        self._species_in = cache(lambda domain: {*found.known.species_in(domain).tolist()})

    def cluster_name(self, row: int) -> str:
        """Returns the group of an unknown image; '' of any other."""
        return self._cluster[row].name if row in self._cluster else ""

    def case(self, row: int) -> Case:
        """Returns the case of an image that is listed."""
        found, listed = self._found, self._found.lists[row]
        record = found.records[row]
        at = place(found.space, found.rows.values[row : row + 1])[0]
        present = int(found.present[row])
        doubt = found.name_p[row] if listed == MISNAMED else found.p[row]
        return Case(
            case_id(record),
            listed,
            record,
            float(1 - doubt),
            tuple(self.reasons(row)),
            () if listed == BAD_IMAGE else tuple(self._proposals(row, at)),
            () if present == UNNAMED else self._near(at, present, NEAR),
            self.cluster_name(row),
            self._notes(row),
        )

    def reasons(self, row: int) -> Iterator[str]:
        """Yields a plain sentence for each thing that speaks for the list an image is on."""
        listed = self._found.lists[row]
        if listed == BAD_IMAGE:
            yield _sentence(FAULTS[self._found.faults[row]])
        if listed == UNKNOWN:
            yield from self._unknown(row)
        if listed == MISNAMED:
            yield from self._misnamed(row)

    def _unknown(self, row: int) -> Iterator[str]:
        found, domain = self._found, self._domain[row]
        yield f"It fits no known species: {self._as_strange(row)} as strange or stranger."
        if not found.promised[row]:
            yield self._no_promise(row)
        cluster = self._cluster[row]
        if len(cluster.rows) > 1:
            yield f"One of {len(cluster.rows)} unknown images that look alike: {cluster.name}."
        else:
            yield "No other unknown image looks like it."
        yield self._rank(row)
        if found.present[row] != UNNAMED:
            named = found.known.taxa[found.present[row]].scientificName
            yield f"It is filed under {named}, which is known, and does not look like it."
            if domain and found.present[row] not in self._species_in(domain):
                yield f"No {domain} of {named} is known: it may look strange for that alone."

    def _as_strange(self, row: int) -> str:
        found, domain = self._found, self._domain[row]
        if not domain and self._of_any:
            return (
                "whatever kind of image it is (basisOfRecord is blank), at most "
                f"{found.p[row]:.1%} of the known specimens that were held out are"
            )
        held = self._specimens(domain if found.promised[row] else None)
        above = max(0, round(found.p[row] * (held + 1)) - 1)
        count = {0: "none is", 1: "one is"}.get(above, f"{above:,} are")
        return f"of {held:,} known specimens that were held out, {count}"

    def _rank(self, row: int) -> str:
        found = self._found
        rank, taxon, probability = found.sure_rank(row)
        if not rank:
            return "Neither its genus nor its family is sure."
        sure = found.sure[rank]
        return (
            f"The {rank} is likely {taxon} ({probability:.0%}): of {sure.species:,} species left "
            f"out on trial, {sure.precision:.0%} of such answers were right."
        )

    def _no_promise(self, row: int) -> str:
        found, domain = self._found, self._domain[row]
        kind = domain or "of the kind that it may be of"
        have = "too few" if not domain else f"{self._specimens(domain):,}"
        return (
            f"No rate of false alarms is promised: {have} known specimens {kind} were held out, "
            f"and it takes {least_specimens(found.rate):,}."
        )

    def _misnamed(self, row: int) -> Iterator[str]:
        found = self._found
        present, best = (
            found.known.taxa[place].scientificName
            for place in (found.present[row], found.candidates[row, 0])
        )
        yield f"It looks like {best} ({found.probabilities[row, 0]:.0%}), and not like {present}."
        yield (
            f"At most {found.name_p[row]:.1%} of known specimens fit their own names as badly, and "
            "it is not strange: it is rather misnamed than unknown."
        )

    def _proposals(self, row: int, at: np.ndarray) -> Iterator[Proposal]:
        found = self._found
        rank, taxon, probability = found.sure_rank(row)
        if found.lists[row] == UNKNOWN and rank:
            members = [
                number
                for number, known in enumerate(found.known.taxa)
                if known.at_rank(rank) == taxon
            ]
            near = [one for member in members for one in self._places.near(at, member, NEAR)]
            near.sort(key=lambda one: -one[1])
            higher = candidate_of(found.known.taxa[members[0]], probability, rank)
            yield Proposal(higher, self._sheets(near[:NEAR]))
        pairs = zip(found.candidates[row], found.probabilities[row], strict=True)
        others = [(int(one), float(p)) for one, p in pairs if one != found.present[row]]
        for place_, (species, score) in enumerate(others):
            most = NEAR if place_ == 0 else NEAR_OTHERS
            candidate = candidate_of(found.known.taxa[species], score)
            yield Proposal(candidate, self._near(at, species, most))

    def _near(self, at: np.ndarray, species: int, most: int) -> tuple[NearSheet, ...]:
        return self._sheets(self._places.near(at, species, most))

    def _sheets(self, near: Sequence[tuple[int, float]]) -> tuple[NearSheet, ...]:
        frame = self._found.known.frame
        records = [(_record(frame, row), cosine) for row, cosine in near]
        return tuple(
            NearSheet(replace(record, image=KNOWN_PREFIX + record.image), round(cosine, 4))
            for record, cosine in records
        )

    def _notes(self, row: int) -> dict[str, str]:
        frame = self._found.rows.collection.frame
        there = {name: str(frame[name].iat[row]) for name in NOTED if name in frame}
        return {name: text for name, text in there.items() if text}


def _record(frame: pd.DataFrame, row: int) -> SpecimenRecord:
    return SpecimenRecord(*(str(frame[name].iat[row]) for name in COLUMNS))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
