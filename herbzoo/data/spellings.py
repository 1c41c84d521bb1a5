"""Names that are probably one name in several spellings, found without comparing all with all.

Candidates share a genus or an epithet, and a key; only these are compared. Whether two names are
one species is for a person to say: *Salix alba* and *Salix alpa* differ in a letter, and so do
*Magnolia macrophylla* and *Magnolia microphylla*.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from herbzoo.data.label_text import folded

GENDER, LETTER, LETTERS = "gender ending", "one letter", "a few letters"
"""In what two spellings differ; the last is the weakest hint."""

_SHORTEST = 5
"""Letters of a word below which one letter makes another word."""
_LONG, _VERY_LONG = 11, 13
"""Letters of a word from which two, and three, may be wrong."""
_SAME_START = 6
"""Letters at the start that words with several wrong letters must share."""
_CROWDED = 60
"""Words of one key, above which each is compared with a few neighbours only."""

_ENDINGS = re.compile(r"(?:us|a|um|on|os)$|(?:is|e)$|(?:er|ra|rum)$")
# Latin words that tell species apart and differ in few letters: long- or round-leaved.
_PARTS = (
    *("folia", "flora", "carpa", "calyx", "petala", "sepala", "phylla", "sperma", "styla"),
    *("stachya", "stachys", "caulis", "cephala", "antha", "nervi", "spina", "loba", "pes", "oides"),
    *("tricha", "ptera", "gyna", "andra", "cola", "fera", "formis", "ensis", "iana", "ata", "osa"),
)
_STARTS = ("macro", "micro", "brachy", "trachy", "hetero", "homo", "sub", "super")


@dataclass(frozen=True)
class SpellingGroup:
    """Names that may be one."""

    names: tuple[str, ...]
    differ_in: str
    """The weakest of the hints that join them."""


def spelling_groups(names: Iterable[tuple[str, str, str]]) -> list[SpellingGroup]:
    """Finds names that are probably one name in several spellings.

    Args:
        names: name without authorship, its genus, and its family or ''.

    Returns:
        Groups of two or more names, each in the order given, groups by their first name.
    """
    entries = [_Entry(name, genus, family) for name, genus, family in names]
    links: dict[tuple[int, int], str] = {}
    for group in _grouped((entry.genus, place) for place, entry in enumerate(entries)):
        for first, second, why in _alike([(entries[place].epithets, place) for place in group]):
            links.setdefault((first, second), why)
    for group in _grouped((entry.epithets, place) for place, entry in enumerate(entries)):
        genera = [(entries[place].genus, place) for place in group]
        for first, second, why in _alike(genera, endings=False):
            if _one_family(entries[first], entries[second]):
                links.setdefault((first, second), why)
    return _joined(entries, links)


class _Entry:
    def __init__(self, name: str, genus: str, family: str) -> None:
        self.name = name
        self.family = family.casefold()
        self.genus = folded(genus)
        rest = name[len(genus) :] if name.startswith(genus) else name.partition(" ")[2]
        self.epithets = folded(rest.replace("\N{MULTIPLICATION SIGN}", " ")).strip()


def _one_family(one: _Entry, other: _Entry) -> bool:
    return not (one.family and other.family) or one.family == other.family


def _grouped(keyed: Iterable[tuple[str, int]]) -> Iterator[list[int]]:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for key, place in keyed:
        if key:
            groups[key].append(place)
    return (group for group in groups.values() if len(group) > 1)


def _alike(words: list[tuple[str, int]], endings: bool = True) -> Iterator[tuple[int, int, str]]:
    """Yields pairs of places whose words are alike, and how."""
    keys: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for word, place in words:
        if endings:
            keys[GENDER, stem(word)].append((word, place))
        if len(word) >= _SHORTEST:
            for key in {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}:
                keys[LETTER, key].append((word, place))
        if len(word) >= _LONG:
            keys[LETTERS, word[:_SAME_START]].append((word, place))
    for (why, _), sharing in sorted(keys.items(), key=lambda item: _ORDER.index(item[0][0])):
        for (word, place), (other, other_place) in _pairs(sharing):
            if word != other and _agree(why, word, other):
                yield min(place, other_place), max(place, other_place), why


_ORDER = (GENDER, LETTER, LETTERS)


def _pairs(sharing: list[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
    reach = len(sharing) if len(sharing) <= _CROWDED else 3
    for position, one in enumerate(sharing):
        for other in sharing[position + 1 : position + 1 + reach]:
            yield one, other


def _agree(why: str, word: str, other: str) -> bool:
    if why == GENDER:
        return True
    if word.count(" ") != other.count(" ") or any(map(str.isdigit, word + other)):
        return False
    if _other_words(word, other):
        return False
    return edits(word, other, _allowed(why, word, other)) is not None


def _allowed(why: str, word: str, other: str) -> int:
    if why == LETTER:
        return 1
    return 3 if min(len(word), len(other)) >= _VERY_LONG else 2


def _other_words(word: str, other: str) -> bool:
    """Tells whether two words differ in a part that has a meaning of its own in both."""
    starts = [next((s for s in _STARTS if w.startswith(s)), "") for w in (word, other)]
    if all(starts) and starts[0] != starts[1]:
        return True
    ends = [next((p for p in _PARTS if stem(w).endswith(stem(p))), "") for w in (word, other)]
    return all(ends) and ends[0] != ends[1]


def stem(epithet: str) -> str:
    """Returns an epithet without the ending that agrees with the gender of its genus."""
    bare = _ENDINGS.sub("", epithet)
    return bare if len(bare) >= 3 else epithet


def edits(word: str, other: str, most: int) -> int | None:
    """Returns how many letters to insert, drop, replace or swap, or None if more than `most`.

    The optimal string alignment distance (Damerau 1964, Levenshtein 1966).
    """
    if abs(len(word) - len(other)) > most:
        return None
    before: Sequence[int] = ()
    row: Sequence[int] = range(len(other) + 1)
    for i, letter in enumerate(word, 1):
        current = [i]
        for j, facing in enumerate(other, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (letter != facing))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == facing:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > most:
            return None
        before, row = row, current
    return row[-1] if row[-1] <= most else None


def _joined(entries: list[_Entry], links: dict[tuple[int, int], str]) -> list[SpellingGroup]:
    home = list(range(len(entries)))

    def root(place: int) -> int:
        while home[place] != place:
            home[place] = home[home[place]]
            place = home[place]
        return place

    for first, second in links:
        home[max(root(first), root(second))] = min(root(first), root(second))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for place in sorted({place for link in links for place in link}):
        members[root(place)].append(place)
    weakest: dict[int, int] = {}
    for (first, _), why in links.items():
        weakest[root(first)] = max(weakest.get(root(first), 0), _ORDER.index(why))
    return [
        SpellingGroup(tuple(entries[place].name for place in group), _ORDER[weakest[top]])
        for top, group in members.items()
    ]
