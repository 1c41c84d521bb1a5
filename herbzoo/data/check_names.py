"""Checks of the names of a collection: do they parse, and does one species have one name?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from herbzoo.data.describe import shown_names
from herbzoo.data.findings import ERROR, NOTE, WARNING, Finding, Places
from herbzoo.data.label_text import is_absent
from herbzoo.data.label_text import letters_and_digits as _letters
from herbzoo.data.spellings import GENDER, LETTERS, spelling_groups
from herbzoo.names import ParsedName, parse_name

if TYPE_CHECKING:
    import pandas as pd

_TOGETHER = 3
"""Names of one problem, above which they are one finding."""


def name_findings(frame: pd.DataFrame) -> Iterator[Finding]:
    """Yields what is wrong with the names, genera and families of a collection's rows."""
    places = Places(frame["image"], frame["scientificName"])
    parsed = {text: parse_name(text) for text in places.values if text}
    yield from _unparsed(parsed, places)
    yield from _reserved(parsed, places)
    yield from _above_species(parsed, places)
    yield from _forms(parsed, places)
    yield from _spellings(frame, parsed, places)
    yield from _authorships(frame, parsed, places)
    yield from _genera(frame, parsed)
    yield from _families(frame)


def _unparsed(parsed: dict[str, ParsedName], places: Places) -> Iterator[Finding]:
    by_problem: defaultdict[str, list[str]] = defaultdict(list)
    for text, name in parsed.items():
        if name.problem:
            by_problem[name.problem].append(text)
    advice = "correct the name, or leave these rows out"
    for problem, texts in by_problem.items():
        for group in _bundled(texts):
            yield _finding("name-unparsed", WARNING, _told(group, problem), advice, group, places)


def _reserved(parsed: dict[str, ParsedName], places: Places) -> Iterator[Finding]:
    by_qualifier: defaultdict[str, list[str]] = defaultdict(list)
    for text, name in parsed.items():
        if name.qualifier and not name.problem:
            by_qualifier[name.qualifier].append(text)
    advice = "such a name is a class of its own: leave these rows out, or settle the name"
    for qualifier, texts in by_qualifier.items():
        for group in _bundled(texts):
            what = _told(group, f"no plain name of a species ({qualifier})")
            yield _finding("name-qualified", NOTE, what, advice, group, places)


def _above_species(parsed: dict[str, ParsedName], places: Places) -> Iterator[Finding]:
    """Yields names of genera that stand where species of that genus stand too."""
    species = {name.genus for name in parsed.values() if name.name.count(" ")}
    for text, name in parsed.items():
        plain = name.name and not name.problem and " " not in name.name and not name.qualifier
        if not plain:
            continue
        among = name.name in species
        what = f"{text!r} names a genus" + (", and species of it are classes too" if among else "")
        advice = "give these rows their species, or leave them out"
        yield _finding("name-of-genus", WARNING if among else NOTE, what, advice, [text], places)


def _forms(parsed: dict[str, ParsedName], places: Places) -> Iterator[Finding]:
    """Yields names that are written in several ways, each of which would be a class."""
    forms: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for text, name in parsed.items():
        if name.name and not name.problem:
            forms[name.name.casefold(), name.qualifier].append(text)
    for texts in forms.values():
        if len(texts) > 1:
            counts = {text: places.count(text) for text in texts}
            what = f"one name in {len(texts):,} forms: {_ranked(counts)}"
            advice = "write it in one way: each form would be learned as a species of its own"
            yield _finding("name-forms", ERROR, what, advice, texts, places)


def _spellings(
    frame: pd.DataFrame, parsed: dict[str, ParsedName], places: Places
) -> Iterator[Finding]:
    family_of = dict(zip(frame["scientificName"], frame["family"], strict=True))
    texts: defaultdict[str, list[str]] = defaultdict(list)
    entries: dict[str, tuple[str, str, str]] = {}
    for text, name in parsed.items():
        if name.name and name.genus and not (name.problem or name.qualifier):
            texts[name.name].append(text)
            entries.setdefault(name.name, (name.name, name.genus, str(family_of[text])))
    for group in spelling_groups(entries.values()):
        written = [text for name in group.names for text in texts[name]]
        counts = {name: sum(map(places.count, texts[name])) for name in group.names}
        what = f"perhaps one name, they differ in {_in(group.differ_in)}: {_ranked(counts)}"
        advice = "look the names up, and write one name in one way; different species may stay"
        severity = NOTE if group.differ_in == LETTERS else WARNING
        yield _finding("name-spellings", severity, what, advice, written, places)


def _in(difference: str) -> str:
    return "the gender ending" if difference == GENDER else difference


def _authorships(
    frame: pd.DataFrame, parsed: dict[str, ParsedName], places: Places
) -> Iterator[Finding]:
    pairs = frame[["scientificName", "scientificNameAuthorship"]].drop_duplicates()
    authors: defaultdict[str, dict[str, None]] = defaultdict(dict)
    texts: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for text, column in pairs.itertuples(index=False):
        name = parsed.get(text)
        if name is None or not name.name or name.problem or name.qualifier:
            continue
        texts[name.name][text] = None
        if author := " ".join(str(column or name.authorship).split()):
            authors[name.name][author] = None
    for canonical, found in authors.items():
        if len(found) < 2:
            continue
        severity = NOTE if _one_authorship(list(found)) else WARNING
        what = f"{canonical!r} has {len(found):,} authorships: {shown_names(list(found))}"
        advice = (
            "write its authors in one way"
            if severity == NOTE
            else ("find out whether they are homonyms, which are different species of one name")
        )
        yield _finding("authorships", severity, what, advice, list(texts[canonical]), places)


def _one_authorship(authors: Sequence[str]) -> bool:
    """Tells whether all may be one: abbreviated, or without those in parentheses or after `ex`.

    `L.`, `(L.) Urban` and `Urb.` are; `Mill.` and `Michx.` are not.
    """
    words = [
        [word for part in re.split(r"[^\w.]+|\.(?=\w{2})", author) if (word := _letters(part))]
        for author in authors
    ]
    waiting, reached = set(range(1, len(words))), [0]
    while reached:
        here = reached.pop()
        near = {other for other in waiting if _abbreviates(words[here], words[other])}
        waiting -= near
        reached += near
    return not waiting


def _abbreviates(one: list[str], other: list[str]) -> bool:
    """Tells whether each author of the shorter list may stand for one of the longer."""
    fewer, more = sorted((one, other), key=len)
    return all(any(a.startswith(b) or b.startswith(a) for b in more) for a in fewer)


def _genera(frame: pd.DataFrame, parsed: dict[str, ParsedName]) -> Iterator[Finding]:
    pairs = frame[["scientificName", "genus"]].drop_duplicates()
    wrong = [
        (text, genus, parsed[text].genus)
        for text, genus in pairs.itertuples(index=False)
        if text
        and not is_absent(genus)
        and not parsed[text].problem
        and _differ(genus, parsed[text].genus)
    ]
    if not wrong:
        return
    places = Places(frame["image"], frame["scientificName"] + "\n" + frame["genus"])
    for text, genus, own in wrong:
        what = f"{text!r} is of the genus {own}, and the column genus says {genus!r}"
        advice = "correct the name or the genus: one of the two is out of date or mistyped"
        yield _finding("genus-differs", WARNING, what, advice, [f"{text}\n{genus}"], places)


def _differ(genus: str, other: str) -> bool:
    return bool(other) and _letters(genus) != _letters(other)


def _families(frame: pd.DataFrame) -> Iterator[Finding]:
    absent = {value for column in ("genus", "family") for value in frame[column].unique()}
    absent = {value for value in absent if is_absent(value)}
    named = frame[~frame["genus"].isin(absent) & ~frame["family"].isin(absent)]
    pairs = named[["genus", "family"]].drop_duplicates()
    several = pairs[pairs["genus"].duplicated(keep=False)]
    if several.empty:
        return
    places = Places(named["image"], named["genus"] + "\n" + named["family"])
    for genus, families in several.groupby("genus", sort=True)["family"]:
        counts = {family: places.count(f"{genus}\n{family}") for family in families}
        usual = max(counts, key=lambda family: counts[family])
        odd = [f"{genus}\n{family}" for family in counts if family != usual]
        what = f"the genus {genus} is in {len(counts)} families: {_ranked(counts)}"
        advice = "put it in one family; only homonyms of different kingdoms may be in two"
        rows = named.index.to_numpy()[list(places.rows(*odd))]
        yield Finding(
            "genus-in-two-families", WARNING, places.where(*odd), what, advice, tuple(rows.tolist())
        )


def _bundled(texts: list[str]) -> Iterator[list[str]]:
    """Yields names one by one, or all at once if there are many."""
    if len(texts) > _TOGETHER:
        yield texts
    else:
        yield from ([text] for text in texts)


def _told(texts: list[str], problem: str) -> str:
    if len(texts) == 1:
        return f"{texts[0]!r}: {problem}"
    return f"{len(texts):,} names: {problem}: {shown_names(texts)}"


def _ranked(counts: dict[str, int]) -> str:
    """Names the values with the most rows, and how many these are."""
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    return shown_names([f"{value!r} ({counts[value]:,})" for value in ranked])


def _finding(
    kind: str, severity: str, what: str, advice: str, texts: Sequence[str], places: Places
) -> Finding:
    rows = places.rows(*texts)
    return Finding(kind, severity, places.where(*texts), what, advice, rows)
