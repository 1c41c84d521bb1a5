"""A collection of specimens: one row an image, in Darwin Core terms.

Term names are those of https://dwc.tdwg.org/terms/. Absent values are empty strings, so that every
Darwin Core column is text and no reader has to tell `None` from `NaN`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

from herbzoo.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

HERBARIUM = "PreservedSpecimen"
"""`basisOfRecord` of a herbarium sheet."""
FIELD = "HumanObservation"
"""`basisOfRecord` of a photo of the living plant."""
SIDECAR = "herbzoo.json"
"""File beside images that herbzoo drew itself: it says so, and of what size and seed they are."""


@dataclass(frozen=True)
class SpecimenRecord:
    """One image of one specimen. `image` and `scientificName` are required, the rest may be ''."""

    image: str
    scientificName: str = ""
    scientificNameAuthorship: str = ""
    genus: str = ""
    family: str = ""
    taxonID: str = ""
    basisOfRecord: str = ""
    occurrenceID: str = ""
    catalogNumber: str = ""
    institutionCode: str = ""
    recordedBy: str = ""
    recordNumber: str = ""
    eventDate: str = ""
    identifiedBy: str = ""
    license: str = ""
    split: str = ""


COLUMNS = tuple(f.name for f in fields(SpecimenRecord))
"""The Darwin Core columns herbzoo reads and writes, in their order; others are kept."""


class ImageSource(Protocol):
    """Where the images of a collection come from; must survive pickling to a worker process.

    A source may also have `fingerprint(key) -> str`, which changes whenever the image does: what
    was computed from an image is then kept and found again by it. One that reads files may have
    `encoded(key) -> bytes`, the file as it is. One that reads images in blocks may have
    `blocks(keys) -> np.ndarray`, a number for each key: images of one number are cheap together.
    """

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes one image to RGB.

        Args:
            key: the value of the row's `image` column.
            min_size: height and width in pixels that suffice; a JPEG may then be decoded at a
                smaller scale, never below this size. `None` asks for full size.

        Raises:
            ImageError: if the image cannot be read; the message names it.
        """
        ...


@dataclass(frozen=True)
class Skipped:
    """A row or an image that could not be used and was left out."""

    where: str
    """The file and row, or the image."""
    reason: str


@dataclass(frozen=True)
class Collection:
    """Rows of records together with the source of their images."""

    frame: pd.DataFrame
    """One row an image; has every column of `COLUMNS` (text), and any others the data brought."""
    images: ImageSource
    name: str
    """What the user called it: a path, a Hub id, or `synthetic`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the reader learned on the way: `{"reader": "class_folders", ...}`."""
    skipped: tuple[Skipped, ...] = ()
    """Rows that were left out because the user asked to skip bad ones."""

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.frame)

    def select(self, rows: Any) -> Collection:
        """Returns the rows that a boolean mask or positions choose, in their order."""
        chosen = (
            self.frame.loc[rows]
            if str(getattr(rows, "dtype", "")) == "bool"
            else self.frame.iloc[rows]
        )
        return replace(self, frame=chosen.reset_index(drop=True))

    def records(self) -> Iterator[SpecimenRecord]:
        """Yields one `SpecimenRecord` a row."""
        for row in self.frame[list(COLUMNS)].itertuples(index=False):
            yield SpecimenRecord(*row)

    def column(self, name: str) -> pd.Series:
        """Returns a column as text.

        Raises:
            DataError: if there is none of that name; the message lists those there are.
        """
        if name not in self.frame.columns:
            known = ", ".join(str(c) for c in self.frame.columns if (self.frame[c] != "").any())
            raise DataError(f"{self.name} has no column {name!r}; it has {known}")
        return self.frame[name].astype(str)
