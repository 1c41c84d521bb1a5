"""What a search finds: a sheet of the index, and how near it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from herbzoo.data.records import SpecimenRecord


@dataclass(frozen=True)
class Match:
    """One sheet of an index, as the answer to one query."""

    record: SpecimenRecord
    similarity: float
    """Cosine of the two embeddings, from -1 to 1."""
    fields: Mapping[str, str]
    """All other columns of the index that are not blank, such as `references`."""
    has_thumbnail: bool
    """Whether `SpecimenIndex.thumbnail` can give a picture of it."""


@dataclass(frozen=True)
class ImageMatches:
    """The sheets nearest to one image."""

    image: str
    matches: tuple[Match, ...]
    """Nearest first."""
    problem: str = ""
    """Why the image could not be read; there are no matches then."""
