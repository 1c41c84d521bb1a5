"""A name as a table uses it, and by what names are compared."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """A name as the table uses it: one row."""

    id: str
    """Its id, or the name with its authors in a table that has none."""
    name: str
    """Without authorship."""
    authorship: str
    kind: str
    """`accepted`, `synonym` or `unplaced`."""
    accepted: str = ""
    """Of a synonym, the id of the accepted name, or that name itself."""
    accepted_is_name: bool = False
    family: str = ""
    genus: str = ""

    @property
    def full_name(self) -> str:
        """The name with its authors."""
        return f"{self.name} {self.authorship}".strip()


def name_key(name: str) -> str:
    """Returns by what names are compared: no diacritics, no hybrid sign, no capitals.

    The sign and the prefix notho- do not make another name of it (ICN Art. H.3.3).
    """
    if not name.isascii():
        letters = unicodedata.normalize("NFKD", name.replace("æ", "ae").replace("œ", "oe"))
        name = "".join(letter for letter in letters if not unicodedata.combining(letter))
        if name.count("×") == 1 and not _is_formula(name):
            name = " ".join(name.replace("×", " ").split())
    return name.lower().replace(" notho", " ")


def rankless_key(name: str) -> str:
    """Returns the key of a name below species without its rank; of any other name its key."""
    words = [word for word in name_key(name).split() if not word.endswith((".", "]"))]
    return " ".join(words) if len(words) > 2 else name_key(name)


def _is_formula(name: str) -> bool:
    before, _, after = (part.strip() for part in name.partition("×"))
    return " " in before or (bool(before) and after[:1].isupper())


def first_words(key: str) -> list[str]:
    """Returns genus and epithet of a key, without the signs of hybrids."""
    return key.removeprefix("× ").removeprefix("+ ").replace(" × ", " ").split()[:2]


def genus_of(key: str) -> str:
    """Returns the genus of a key."""
    return (first_words(key) or [""])[0]
