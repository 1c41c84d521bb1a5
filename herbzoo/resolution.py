"""From a name to the accepted name of a table, failing closed: what is not certain stays."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from herbzoo.name_layouts import ACCEPTED, SYNONYM, UNPLACED
from herbzoo.name_table import NameTable
from herbzoo.name_usages import Usage, name_key
from herbzoo.names import ParsedName, parse_name

AMBIGUOUS, UNMATCHED = "ambiguous", "unmatched"
STATUSES = (ACCEPTED, SYNONYM, UNPLACED, AMBIGUOUS, UNMATCHED)
SUGGESTED = 3
CLOSE = 0.85
"""Likeness from which on another spelling is suggested; suggestions are never acted upon."""


@dataclass(frozen=True)
class Resolution:
    """What a table says of a name."""

    text: str
    """The name that was asked for."""
    status: str
    """`accepted`, `synonym`, `unplaced`, `ambiguous` or `unmatched`."""
    accepted: str = ""
    """The accepted name without authorship; '' unless there is exactly one."""
    authorship: str = ""
    id: str = ""
    family: str = ""
    genus: str = ""
    reason: str = ""
    """Why it is not resolved, or what to know about it if it is; one line."""
    candidates: tuple[str, ...] = ()
    """Of an ambiguous name, the accepted names that it may stand for."""
    suggestions: tuple[str, ...] = ()
    """Of an unmatched name, spellings like it that the table has."""

    @property
    def resolved(self) -> bool:
        """Whether there is exactly one accepted name."""
        return self.status in (ACCEPTED, SYNONYM)

    @property
    def name(self) -> str:
        """The accepted name, or the text as it was where there is none."""
        return self.accepted if self.resolved else self.text


def with_authorship(name: str, authorship: str) -> str:
    """Joins a name with its authors, unless it has some already."""
    return name if not authorship or parse_name(name).authorship else f"{name} {authorship}"


def resolve(names: Iterable[str], table: NameTable) -> list[Resolution]:
    """Resolves names against a table that was loaded for them.

    Two names of the same wording but by different authors are different names (homonyms). Where
    they lead to different accepted names, the authorship decides, and if the text has none, or one
    that the table does not have, the name is ambiguous. Names qualified by `cf.`, `agg.` and the
    like stand for something else than the plain name and are not matched.

    Args:
        names: with or without authorship.
        table: loaded with these names as `wanted`, or whole.
    """
    known: dict[str, Resolution] = {}
    return [known.get(text) or known.setdefault(text, _resolve(text, table)) for text in names]


def count_statuses(resolutions: Iterable[Resolution]) -> dict[str, int]:
    """Returns how many names have each status, in the order of `STATUSES`."""
    counts = Counter(resolution.status for resolution in resolutions)
    return {status: counts[status] for status in STATUSES}


def _resolve(text: str, table: NameTable) -> Resolution:
    parsed = parse_name(text)
    if parsed.problem:
        return Resolution(text, UNMATCHED, reason=parsed.problem)
    if parsed.qualifier:
        return Resolution(
            text, UNMATCHED, reason=f"{parsed.qualifier} says that it is not the plain name"
        )
    usages = table.usages(parsed.name)
    if not usages:
        return _unmatched(parsed, table)
    chosen = _by_authorship(parsed.authorship, usages)
    ends: dict[tuple[str, str], tuple[Usage, Usage | None, str]] = {}
    for usage in chosen or usages:
        end, problem = _follow(usage, table)
        ends.setdefault((end.id, "") if end else ("", problem), (usage, end, problem))
    if len(ends) > 1:
        return _ambiguous(parsed, list(ends.values()), bool(chosen))
    ((usage, end, problem),) = ends.values()
    if end is None:
        return Resolution(text, UNPLACED, reason=problem)
    differs = parsed.authorship and not chosen
    return Resolution(
        text,
        ACCEPTED if usage.id == end.id else SYNONYM,
        end.name,
        end.authorship,
        "" if end.id == end.full_name else end.id,
        end.family or usage.family,
        end.genus,
        f"the table knows it by {usage.authorship or 'no author'}" if differs else "",
    )


def _follow(usage: Usage, table: NameTable) -> tuple[Usage | None, str]:
    """Follows synonyms to the accepted name, or says why there is none."""
    seen = [usage.id]
    while usage.kind == SYNONYM:
        follows = _target(usage, table)
        if len(follows) != 1:
            many = ", ".join(one.full_name for one in follows)
            problem = f"is itself several names: {many}" if many else "is not in the table"
            return None, f"{usage.full_name} is a synonym of {usage.accepted}, which {problem}"
        (usage,) = follows
        if usage.id in seen:
            return None, f"the table calls it a synonym of itself, by way of {usage.full_name}"
        seen.append(usage.id)
    if usage.kind == UNPLACED:
        return None, f"the table does not place {usage.full_name}"
    return usage, ""


def _target(usage: Usage, table: NameTable) -> Sequence[Usage]:
    if not usage.accepted_is_name:
        found = table.usage(usage.accepted)
        return [found] if found else []
    parsed = parse_name(usage.accepted)
    if parsed.problem:
        return []
    usages = table.usages(parsed.name)
    if usages:
        exact = [one for one in usages if name_key(one.name) == name_key(parsed.name)]
        return _by_authorship(parsed.authorship, exact) or exact
    # A table of synonyms alone: its accepted names are taken at its word.
    full = f"{parsed.name} {parsed.authorship}".strip()
    found = Usage(full, parsed.name, parsed.authorship, ACCEPTED)
    return [replace(found, family=usage.family, genus=parsed.genus)]


def _by_authorship(authorship: str, usages: Sequence[Usage]) -> list[Usage]:
    """Returns those of the same authors; with and without those before `ex`, if need be."""
    if not authorship:
        return []
    for key in (author_key, _author_key_without_ex):
        same = [usage for usage in usages if key(usage.authorship) == key(authorship)]
        if same:
            return same
    return []


def author_key(authorship: str) -> str:
    """Returns by what authorships are compared: neither spaces, stops, diacritics nor year."""
    text = re.sub(r"\b(?:et|and)\b", "&", re.sub(r"[,\s]*\(?\b1[5-9]\d\d\b\)?", "", authorship))
    text = re.split(r"\s+in\s+", text)[0]
    text = re.sub(r"\b(?:Linn(?:aeus|é)?|Linnaei)\b\.?", "L.", text, flags=re.IGNORECASE)
    text = re.sub(r"\bfil\b", "f", text)
    letters = unicodedata.normalize("NFKD", text.replace(" ex ", " ^ ")).lower()
    return "".join(letter for letter in letters if letter.isalnum() or letter in "()&^")


def _author_key_without_ex(authorship: str) -> str:
    return re.sub(r"[^()]*\^", "", author_key(authorship))


def _ambiguous(
    parsed: ParsedName, ends: list[tuple[Usage, Usage | None, str]], same_author: bool
) -> Resolution:
    meanings = [f"{usage.full_name} ({_meaning(usage, end)})" for usage, end, _ in ends]
    if same_author or len({author_key(usage.authorship) for usage, _, _ in ends}) == 1:
        advice = "the table leads to several"
    elif parsed.authorship:
        advice = f"none of them by {parsed.authorship}"
    else:
        advice = "homonyms: state the author"
    candidates = tuple(sorted({end.full_name for _, end, _ in ends if end}))
    return Resolution(
        parsed.text, AMBIGUOUS, reason=f"{advice}: {'; '.join(meanings)}", candidates=candidates
    )


def _meaning(usage: Usage, end: Usage | None) -> str:
    if end is None:
        return "not placed"
    return "accepted" if end.id == usage.id else f"= {end.full_name}"


def _unmatched(parsed: ParsedName, table: NameTable) -> Resolution:
    near = difflib.get_close_matches(
        parsed.name, sorted(table.spellings(parsed.genus)), SUGGESTED, CLOSE
    )
    reason = "the table does not have it"
    return Resolution(parsed.text, UNMATCHED, reason=reason, suggestions=tuple(near))
