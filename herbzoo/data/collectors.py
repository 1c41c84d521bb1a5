"""Surnames of collectors, out of the many ways in which labels and data bases write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from herbzoo.data.label_text import folded, is_absent

_PARTICLES = (
    "a af al auf av ap da dal dalla das de del dela della den der des di do dos du e el et het "
    "i in la las le los lo o of op san st ste t ten ter the tho to van vander vanden vom von vor "
    "y zu zum zur"
)
_TITLES = (
    "dr prof professor sir lady lord mr mrs ms miss mme mlle rev revd fr sr sra br bro brother "
    "sister father capt captain lt maj major gen general ing lic mag phd md jr jun junior sen "
    "senior fil filius fils f ii iii iv herr frau dom padre pe fratello abbe"
)
_IGNORED = frozenset(_PARTICLES.split()), frozenset(_TITLES.split())
_BEFORE = re.compile(
    r"^\W*(?:(?:leg(?:it|erunt|\.)?|coll?(?:ector|ected|ectors|\.)?|collegit|recorded|gathered)"
    r"\b[\s.:,]*(?:by\b)?[\s:]*)+",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\s*(?:[;|&+/(\[]|(?-i:(?<=\s)[ye](?=\s))"
    r"|\b(?:and|et|und|with|og|och|met|con|avec|mit|in company of|det)\b)\s*",
    re.IGNORECASE,
)
_NO_NUMBER = re.compile(r"\bs\.?\s*n\b\.?|\bsine\s+num\w*\.?|\bno\.?\s*(?=\d)", re.IGNORECASE)
_NUMBER_BEHIND = re.compile(
    r"[^\W\d_].*?[\s,#:.\N{NUMERO SIGN}](?:no?\.?\s*)?(?P<number>[A-Z]{0,3}-?\d+[a-zA-Z]?)\W*$"
)
_YEAR = re.compile(r"1[6-9]\d\d|20\d\d")
_WORDS = re.compile(r"[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)*")
_ARTICLE = re.compile(r"^[dl]['\N{RIGHT SINGLE QUOTATION MARK}](?=.)", re.IGNORECASE)


def number_behind(collector: str) -> str:
    """Returns the number that was written behind a collector: `123` of `J. Smith 123`.

    What may be a year is none.
    """
    found = _NUMBER_BEHIND.search(collector[-60:])
    return found["number"] if found and not _YEAR.fullmatch(found["number"]) else ""


class Collector(NamedTuple):
    """The first collector that a text names."""

    surnames: tuple[str, ...]
    """The surname, folded, in the one or two forms it may take elsewhere; none for nobody."""
    initial: str
    """The first letter of what is not the surname, folded; empty where there is no more."""


NOBODY = Collector((), "")


def parse_collector(text: str) -> Collector:
    """Returns the first collector.

    `Smith, J. & Jones, B.`, `J. Smith`, `SMITH J`, `leg. J. Smith s.n.` and `Dr John Smith` are all
    `smith` and `j`; titles and particles (`de`, `van`) are ignored, and so are diacritics and the
    difference of `ü` and `ue`. Of two surnames (`X.R. García Martínez`, `García-Martínez, X.`)
    either may stand alone elsewhere, so both are given, the last first. A name that is all initials
    is taken together. `unknown`, `s.coll.`, `Nil` and the like are `NOBODY`.

    Labels do not say which word is a surname: the last is taken unless a comma says otherwise,
    which is wrong where the family's name is written first.
    """
    told = _NO_NUMBER.sub(" ", _BEFORE.sub("", text))
    told = told if _WORDS.search(told) else text
    if is_absent(text) or is_absent(told):
        return NOBODY
    first = next((part for part in _OTHERS.split(told) if _WORDS.search(part)), "")
    parts = [part for part in first.split(",") if _WORDS.search(part)]
    if not parts:
        return NOBODY
    words = _words(parts[0])
    names = [word for word in words if not _is_initials(word, words)]
    if not names:  # `J. B.`: the collector is known by initials alone
        together = folded("".join(words))
        return Collector((together,), "") if len(together) > 1 else NOBODY
    turned = len(parts) > 1 and names == words and _is_given(parts[1])  # `Smith, J.`
    both = len(names) > 1 and (turned or _is_initials(words[0], words))
    chosen = (names[-1], names[0]) if both else (names[-1],)
    others = _words(parts[1]) if turned else [word for word in words if word not in chosen]
    forms = dict.fromkeys(_plain(name) for name in chosen)
    return Collector(tuple(forms), folded(others[0])[0] if others else "")


def _words(text: str) -> list[str]:
    found = [_ARTICLE.sub("", word) for word in _WORDS.findall(text)]
    particles, titles = _IGNORED
    known = [word for word in found if len(word) == 1 or folded(word) not in titles]
    kept = [word for word in known if len(word) == 1 or folded(word) not in particles]
    return kept or known or found


def _is_initials(word: str, words: list[str]) -> bool:
    """Tells initials from names: one letter, or two or three capitals beside longer words."""
    if word.lower() == word.upper():  # a script without capitals writes names, not initials
        return False
    return len(word) == 1 or (
        len(word) <= 3 and word.isupper() and any(len(other) > 3 for other in words)
    )


def _is_given(text: str) -> bool:
    words = _words(text)
    return bool(words) and (_is_initials(words[0], [*words, "longer"]) or "." in text)


def _plain(word: str) -> str:
    bare = "".join(letter for letter in folded(word) if letter.isalnum())
    return re.sub(r"(?<=[aou])e", "", bare) if len(bare) > 3 else bare
