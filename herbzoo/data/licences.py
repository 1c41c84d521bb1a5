"""The licences of a collection's images, under one spelling each, and what follows from them.

Publishers write the same licence as a URL, a name, a code of GBIF's or Kaggle's, or a sentence.
What cannot be told apart safely is kept in its own words and never taken for a free licence. The
meaning of the Creative Commons elements is at https://creativecommons.org/share-your-work/cclicenses/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NOT_STATED = "not stated"
RESERVED = "all rights reserved"
COLUMNS = ("license", "licence", "rights", "license_name", "accessRights")
"""Columns that may hold the licence, the first that is filled wins; the first is Darwin Core's."""

KAGGLE_2022_TERMS = (
    "Herbarium 2022 (NAFlora-1M) is under CC BY-NC-ND 4.0 as a whole, and its terms restrict the "
    "commercial use of models trained on it as well (https://github.com/dpl10/NAFlora-1M)."
)

_UNSAID = {"", "unknown", "unspecified", "unsupported", "none", "null", "nan", "n/a", "na", "-"}
_UNSAID |= {"not stated", "not specified", "no license", "no licence", "?"}
# Each is taken out of the text once found, so that none is found within another.
_ELEMENTS = {
    "NC": r"non[\W_]*commercial|\bnc\b",
    "ND": r"no[\W_]*deriv(?:ative)?s?(?:[\W_]*works?)?|\bnd\b",
    "SA": r"share[\W_]*alike|\bsa\b",
    "BY": r"attribution|\bby\b",
}
_CREATIVE_COMMONS = r"creative[\W_]*commons|\bcc\b|\battribution(?:\W*(?:\d|non|no\W*deriv|share))"
_BARE_CODE = r"by(?:[ -](?:nc|nd|sa))*(?:[ -][\d.]+)?"
_ZERO = r"\bcc[\W_]*(?:0|zero)\b|publicdomain/zero|no rights reserved"
_MARK = r"publicdomain/mark|public[\W_]*domain"
_RESERVED = r"all[\W_]*rights[\W_]*reserved|rightsstatements\.org/(?:vocab|page)/inc\b"
_VERSION = r"(?<![\d.])([1-4]\.[05])(?![\d.])"


@dataclass(frozen=True)
class Licence:
    """What one value of a licence column says."""

    name: str
    """One spelling: `CC BY-NC 4.0`, `CC0 1.0`, `all rights reserved`, `not stated`, or the
    publisher's own words."""
    elements: tuple[str, ...] = ()
    """What it asks, in Creative Commons' terms: any of `BY`, `NC`, `SA`, `ND`."""
    free: bool = False
    """Whether it is in the public domain, or dedicated to it."""
    understood: bool = True
    """False where the words are kept because they are no licence known here."""

    @property
    def stated(self) -> bool:
        """Tells whether anything is said at all."""
        return self.name != NOT_STATED


@dataclass(frozen=True)
class LicenceCount:
    """How many images are under a licence."""

    licence: Licence
    images: int


@dataclass(frozen=True)
class LicenceRollUp:
    """The licences of a collection, most frequent first."""

    counts: tuple[LicenceCount, ...]

    @property
    def images(self) -> int:
        """Returns the number of images."""
        return sum(count.images for count in self.counts)

    def sentences(self) -> tuple[str, ...]:
        """Says in plain sentences what follows for who uses or passes on images and models."""
        found = (
            self._about("NC", "must not be used commercially", _NON_COMMERCIAL),
            self._about("ND", "must not be passed on cropped or changed", _NO_DERIVATIVES),
            self._about("SA", "may be passed on changed under their own licence only", ""),
            self._about("BY", "may be shown only with their author and licence", _ATTRIBUTION),
            self._reserved(),
            self._own_words(),
            self._not_stated(),
        )
        said = tuple(sentence for sentence in found if sentence)
        if self.images and not said:
            return ("All images are in the public domain: they may be used for anything.",)
        return said

    def _about(self, element: str, rule: str, advice: str) -> str:
        having = [count for count in self.counts if element in count.licence.elements]
        names = ", ".join(count.licence.name for count in having)
        return self._sentence(sum(count.images for count in having), f"{rule} ({names})", advice)

    def _reserved(self) -> str:
        images = sum(count.images for count in self.counts if count.licence.name == RESERVED)
        return self._sentence(
            images, "are under all rights reserved", "their owner must be asked before any use."
        )

    def _own_words(self) -> str:
        odd = [count for count in self.counts if not count.licence.understood]
        shown = "; ".join(f"{_short(count.licence.name)!r}" for count in odd[:3])
        shown += "; ..." if len(odd) > 3 else ""
        images = sum(count.images for count in odd)
        rule = f"bear terms that are no licence known to herbzoo ({shown})"
        return self._sentence(images, rule, "read these before any use.")

    def _not_stated(self) -> str:
        images = sum(count.images for count in self.counts if not count.licence.stated)
        if images and images == self.images:
            return f"No image states a licence: {_UNLICENSED}"
        return self._sentence(images, "state no licence", _UNLICENSED)

    def _sentence(self, images: int, rule: str, advice: str) -> str:
        if not images:
            return ""
        whole = "All" if images == self.images else f"{images:,} of {self.images:,}"
        return f"{whole} images {rule}" + (f": {advice}" if advice else ".")


_NON_COMMERCIAL = (
    "whether that binds a model trained on them is disputed, so its card should name them."
)
_NO_DERIVATIVES = (
    "publish no crops of them; some owners hold that a trained model is a derivative too."
)
_UNLICENSED = "nothing says that they may be used, so ask where they are from before publishing."
_ATTRIBUTION = "keep the columns that say so with every image and every published figure."


_OPEN_DATA = {
    r"\bodbl\b|open database licen[cs]e": Licence("ODbL 1.0", ("BY", "SA")),
    r"\bodc[\W_]*by\b|opendatacommons\.org/licenses/by": Licence("ODC-By 1.0", ("BY",)),
    r"\bpddl\b": Licence("PDDL 1.0", free=True),
}


def parse_licence(text: str) -> Licence:
    """Reads one value of a licence column.

    Takes URLs of licences with or without `deed` and `legalcode`, names such as `CC BY-NC 4.0`,
    `cc-by-nc-4.0`, `CC_BY_NC_4_0` and `Attribution-NonCommercial 4.0 International`, sentences that
    hold one of these, and what Kaggle, GBIF, iNaturalist and the Hugging Face Hub call them.
    """
    words = " ".join(text.split())
    flat = words.lower().replace("_", " ")
    if flat.strip(" .()[]") in _UNSAID or flat in _UNSAID:
        return Licence(NOT_STATED)
    version = _version(flat)
    licence = _creative_commons(flat, version)
    if re.search(_ZERO, flat):
        # One text with both says which part is under which: for a person to read.
        return Licence(words, understood=False) if licence else Licence("CC0 1.0", free=True)
    if licence is not None:
        return licence
    for pattern, other in _OPEN_DATA.items():
        if re.search(pattern, flat):
            return other
    if re.search(_RESERVED, flat):
        return Licence(RESERVED)
    if re.search(_MARK, flat) and not re.search(r"\bnot\b", flat):
        return Licence("public domain", free=True)
    return Licence(words, understood=False)


def licence_column(frame: pd.DataFrame) -> pd.Series | None:
    """Returns the first column of `COLUMNS` that says anything, or None."""
    for name in COLUMNS:
        if name in frame.columns and (frame[name].astype(str).str.strip() != "").any():
            return frame[name].astype(str)
    return None


def roll_up(values: pd.Series) -> LicenceRollUp:
    """Counts the licences of a column, each under one spelling, most frequent first."""
    counts: dict[Licence, int] = {}
    for text, images in values.value_counts(sort=False).items():
        licence = parse_licence(str(text))
        counts[licence] = counts.get(licence, 0) + int(images)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].name))
    return LicenceRollUp(tuple(LicenceCount(licence, images) for licence, images in ordered))


def _creative_commons(flat: str, version: str) -> Licence | None:
    if not (re.search(_CREATIVE_COMMONS, flat) or re.fullmatch(_BARE_CODE, flat)):
        return None
    rest, elements = flat, []
    for element, pattern in _ELEMENTS.items():
        if re.search(pattern, rest):
            elements.append(element)
            rest = re.sub(pattern, " ", rest)
    if "BY" not in elements or ("ND" in elements and "SA" in elements):
        return None  # no such licence exists: several are named, or something else is meant
    ordered = tuple(sorted(elements, key=("BY", "NC", "SA", "ND").index))
    name = f"CC {'-'.join(ordered)}"
    return Licence(f"{name} {version}" if version else name, ordered)


def _version(flat: str) -> str:
    found = re.findall(_VERSION, re.sub(r"\b([1-4]) ([05])\b", r"\1.\2", flat))
    return found[0] if len(set(found)) == 1 else ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57].rstrip() + "..."


def dataset_terms(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Says what is known of the terms of a well-known data set, by the facts of its reader."""
    if str(facts.get("reader", "")).startswith("kaggle") and str(facts.get("year", "")) == "2022":
        return (KAGGLE_2022_TERMS,)
    return ()
