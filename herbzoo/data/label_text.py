"""Texts of labels and data bases: when one says nothing, and when two say the same."""

from __future__ import annotations

import unicodedata

ABSENT = frozenset(
    {
        "",
        "-",
        "--",
        "?",
        "nil",
        "none",
        "null",
        "nan",
        "na",
        "n/a",
        "n.a",
        "unknown",
        "unkn",
        "unk",
        "undetermined",
        "not known",
        "not given",
        "not recorded",
        "not stated",
        "no data",
        "illegible",
        "unreadable",
        "missing",
        "absent",
        "unspecified",
        "s.n",
        "sn",
        "s. n",
        "s.coll",
        "s. coll",
        "s.l",
        "s.d",
        "s. d",
        "sine numero",
        "without number",
        "no number",
        "collector",
        "anon",
        "anonymous",
        "unbekannt",
        "anonym",
        "inconnu",
        "desconocido",
        "desconhecido",
        "sin colector",
        "sine coll",
        "unknown collector",
        "collector unknown",
        "no collector",
        "collector not recorded",
        "not on label",
        "data not captured",
        "various",
        "various collectors",
    }
)
"""Values that say there is none, in lower case and without brackets and full stops around them."""

_WITHOUT_ACCENT = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
    }
)


def is_absent(text: str) -> bool:
    """Tells whether a text is empty, or says that there is no value."""
    bare = " ".join(text.casefold().split()).strip("[](){}<>.,;:'\"* ")
    return bare in ABSENT


def folded(text: str) -> str:
    """Returns a text in lower case and without diacritics."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in parts if not unicodedata.combining(letter))
    return bare.translate(_WITHOUT_ACCENT)


def letters_and_digits(text: str) -> str:
    """Returns a folded text without anything that is neither letter nor digit."""
    return "".join(letter for letter in folded(text) if letter.isalnum())
